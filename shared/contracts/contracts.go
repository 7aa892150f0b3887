// Package contracts says who publishes and who consumes each topic: the
// mission's table, from which the components' scopes, the AsyncAPI document
// and the checks of each service's registrations follow.
package contracts

import "slices"

// Topic is one topic with its one publisher.
type Topic struct {
	Name      string
	Component string // the pub/sub component, one per topic
	Publisher string
	Consumers []string
}

// Services are all services but the gateway, in the order of the mission's
// table.
func Services() []string {
	return []string{"user", "auth", "course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics"}
}

// Topics is who publishes and consumes what. notification and analytics
// consume everything.
func Topics() []Topic {
	topic := func(publisher string, consumers ...string) Topic {
		return Topic{
			Name: publisher + ".events", Component: "events-" + publisher, Publisher: publisher,
			Consumers: append(consumers, "notification", "analytics"),
		}
	}
	return []Topic{
		topic("user"),
		topic("course", "enrollment", "search"),
		topic("enrollment"),
		topic("content", "search"),
		topic("assignment"),
		topic("payment"),
	}
}

// MayConsume says whether a service consumes a topic.
func MayConsume(service, topic string) bool {
	return slices.ContainsFunc(Topics(), func(t Topic) bool {
		return t.Name == topic && slices.Contains(t.Consumers, service)
	})
}

// BuildingBlock is a component that is no topic: the name that services use,
// whatever product stands behind it.
type BuildingBlock struct {
	Name string
	Kind string   // of its type, such as state in state.redis
	Apps []string // which load it
	// Durable: what is in it must not be lost.
	Durable bool
	// Shared: one app reads what another writes.
	Shared bool
}

// Components are the names of all components that a service or the gateway loads.
func Components(app string) []string {
	var names []string
	for _, t := range Topics() {
		if t.Publisher == app || slices.Contains(t.Consumers, app) {
			names = append(names, t.Component)
		}
	}
	for _, b := range BuildingBlocks() {
		if slices.Contains(b.Apps, app) {
			names = append(names, b.Name)
		}
	}
	return names
}

// BuildingBlocks are the components of every profile besides one per topic.
func BuildingBlocks() []BuildingBlock {
	all := append(Services(), "gateway")
	return []BuildingBlock{
		{Name: "state", Kind: "state", Apps: []string{"notification", "search"}, Durable: true},
		{Name: "sessions", Kind: "state", Apps: []string{"auth", "gateway"}, Shared: true},
		{Name: "cache", Kind: "state", Apps: all},
		{Name: "email", Kind: "bindings", Apps: []string{"user", "notification"}},
		{Name: "secrets", Kind: "secretstores", Apps: all},
	}
}
