package profile

import "fmt"

// mqtt is MQTT 3.1.1: a session per client id, no history, no keys.
func (s *subject) mqtt() {
	if n, ok := s.number("qos", "1"); ok && n < 1 {
		s.refuse(Loses, "qos", "0 sends each message once and asks nobody whether it arrived", `qos: "1"`)
	}
	if s.isTrue("cleanSession", "false") {
		s.refuse(Loses, "cleanSession", "the broker forgets a consumer that goes away, and what came meanwhile", `cleanSession: "false"`)
	}
	if s.isTrue("retain", "false") {
		s.warn(Repeats, "retain", "the last message of the topic comes again at each new subscription", `retain: "false"`)
	}
	want := `consumerID: "{appID}-` + s.role.topic.Publisher + `"`
	switch {
	case !s.isSet("consumerID"):
		s.refuse(Loses, "consumerID", "it is the client id, and by default the app id for each of an app's topics: their connections throw each other out, over and over", want)
	case !s.consumerIsApp():
		s.refuse(Loses, "consumerID", "the same client id for all apps: their connections throw each other out, over and over", want)
	}
	s.warn(Feature, "", "two replicas of a service have the same client id and throw each other out: run one of each", "another broker for more than one replica")
	s.warn(Reorders, "", unordered, "")
	s.warn(Loses, "", "a message that a consumer could not take comes again only at its next connection; until then the hole is filled from the producer", "")
	s.warn(Loses, "", "what waited for a consumer reaches its sidecar before that has subscribed, is not acknowledged, and comes again only at the next connection but one; it is fetched from the producers", "")
	s.warn(Loses, "", "when as much of that is open as the broker lets be under way (20 by default of the usual one), the consumer gets nothing new until it connects anew; all of it is fetched from the producers", "max_inflight_messages 0 in mosquitto.conf")
	s.warn(Repeats, "", "a publish that was given up is still sent when the connection is back, after the one that took its place", "")
	s.warn(Loses, "", "a broker keeps few messages for a consumer that is away (1,000 by default of the usual one) and throws the others away; they are fetched from the producers", "max_queued_messages 0 in mosquitto.conf")
	s.warn(Loses, "", "sessions are in the broker's memory unless it persists them", "persistence true, autosave_interval 1, autosave_on_changes true in mosquitto.conf")
	s.warn(Feature, "", noHistory, "")
	s.note(Feature, "", singlePubish, "")
}

func (s *subject) pulsar() {
	if s.is("persistent", "true", "false") {
		s.refuse(Loses, "persistent", "messages are kept in memory only", `persistent: "true"`)
	}
	s.must("subscribeInitialPosition", "latest", "earliest", "a consumer that starts after the first event never gets it from the broker")
	if s.is("subscribeMode", "durable", "non_durable") {
		s.refuse(Loses, "subscribeMode", "the broker forgets where a consumer stands when it goes away", "subscribeMode: durable")
	}
	if s.is("subscribeType", "shared", "exclusive") {
		s.refuse(Form, "subscribeType", "a second replica of a service could not subscribe", "subscribeType: key_shared")
	}
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "one subscription for all apps: each event reaches one of them only", "remove it: each app then has its own")
	}
	if s.is("subscribeType", "shared", "shared", "") || !s.is("processMode", "async", "sync") {
		s.warn(Reorders, "subscribeType", unordered, "subscribeType: key_shared and processMode: sync keep the order of each key")
	}
	s.warn(Loses, "", "a namespace keeps what every subscription has acknowledged for no time unless it has a retention: "+noHistory, "pulsar-admin namespaces set-retention, 30 days")
}

func (s *subject) serviceBus() {
	s.lockedDelivery()
	if n, ok := s.number("defaultMessageTimeToLiveInSec", "0"); ok && n > 0 && n < 86400 {
		s.warn(Loses, "defaultMessageTimeToLiveInSec", fmt.Sprintf("a message that waited %v s is thrown away; consumers fetch it from the producers", n), "at least a day, or remove it")
	}
	if n, ok := s.number("autoDeleteOnIdleInSec", "0"); ok && n > 0 {
		s.refuse(Loses, "autoDeleteOnIdleInSec", "the subscription of a service that was down is deleted with what waits in it", "remove it")
	}
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "one subscription for all apps: each event reaches one of them only", "remove it: each app then has its own")
	}
}

// lockedDelivery is what topics and queues of Service Bus have in common.
func (s *subject) lockedDelivery() {
	n, ok := s.number("maxDeliveryCount", "10")
	if ok && n < 2000 {
		s.warn(Loses, "maxDeliveryCount", fmt.Sprintf("a message that failed %v times is put into the broker's dead letters, where no service looks; consumers fetch it from the producers", n), `maxDeliveryCount: "2147483647"`)
	}
	if n, ok := s.number("handlerTimeoutInSec", "60"); ok && n < deliveryLimit.Seconds() {
		s.warn(Repeats, "handlerTimeoutInSec", fmt.Sprintf("%v s is less than a delivery may take: it is given up and delivered again", n), `handlerTimeoutInSec: "90"`)
	}
	s.warn(Reorders, "", unordered, "")
	s.warn(Feature, "", noHistory, "")
	s.note(Form, "", "a message may have 256 KB in the standard tier, as much as an event; the envelope makes the largest too large", "the premium tier")
}

func (s *subject) serviceBusQueues() {
	s.refuse(Loses, "type", "a queue has one reader: each event reaches one of its consumers only", "type: pubsub.azure.servicebus.topics")
	s.lockedDelivery()
}

func (s *subject) eventHubs() {
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "one consumer group for all apps: each event reaches one of them only", "remove it: each app is then a group")
	}
	s.warn(Loses, "", "what fails is not delivered again once the checkpoint has passed it; retries in dapr/resiliency.yaml hold the partition until then, and holes are filled from the producers", "")
	s.note(Feature, "", "events are kept from 1 to 90 days by tier: a consumer that comes later fetches the rest from the producers", "")
}

func (s *subject) snssqs() {
	if s.isTrue("fifo", "false") {
		s.note(Reorders, "fifoMessageGroupID", "one group per publisher: in order, and no faster than 300 messages/s", "")
	} else {
		s.warn(Reorders, "fifo", unordered, `fifo: "true"`)
		s.warn(Repeats, "fifo", "a standard queue may deliver a message more than once; consumers know it", "")
	}
	if !s.isTrue("disableDeleteOnRetryLimit", "false") && !s.isSet("sqsDeadLettersQueueName") {
		s.refuse(Loses, "disableDeleteOnRetryLimit", "a message that failed messageRetryLimit times (10) is deleted", `disableDeleteOnRetryLimit: "true"`)
	}
	if s.isSet("sqsDeadLettersQueueName") {
		s.warn(Loses, "sqsDeadLettersQueueName", "a message that failed messageReceiveLimit times is put into a queue where no service looks; consumers fetch it from the producers", `remove it, and disableDeleteOnRetryLimit: "true"`)
	}
	if n, ok := s.number("messageVisibilityTimeout", "10"); ok && n < deliveryLimit.Seconds() {
		s.warn(Repeats, "messageVisibilityTimeout", fmt.Sprintf("%v s is less than a delivery may take: it is delivered a second time beside the first", n), `messageVisibilityTimeout: "90"`)
	}
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "one queue for all apps: each event reaches one of them only", "remove it: each app then has its own")
	}
	s.warn(Feature, "", noHistory, "")
	s.note(Form, "", "a message may have 256 KB, as much as an event; the envelope makes the largest too large", "")
	s.note(Feature, "", singlePubish, "")
}

func (s *subject) gcpPubSub() {
	if s.isTrue("enableMessageOrdering", "false") {
		if s.isSet("orderingKey") {
			s.warn(Reorders, "orderingKey", "one key for all messages: in order, and a message that fails holds up all others", "")
		}
	} else {
		s.warn(Reorders, "enableMessageOrdering", unordered, "")
	}
	if s.isSet("deadLetterTopic") {
		s.warn(Loses, "deadLetterTopic", "a message that failed maxDeliveryAttempts times (5) is put where no service looks; consumers fetch it from the producers", "remove it")
	}
	if d, ok := s.duration("ackDeadline", "20s"); ok && d < deliveryLimit {
		s.warn(Repeats, "ackDeadline", fmt.Sprintf("%s is less than a delivery may take (%s); the client extends it as long as it lives", d, deliveryLimit), "ackDeadline: 90s")
	}
	if n, ok := s.number("maxReconnectionAttempts", "30"); ok && n < 1000 {
		s.refuse(Loses, "maxReconnectionAttempts", fmt.Sprintf("after %v attempts the sidecar stops consuming for good, without ending", n), `maxReconnectionAttempts: "1000000"`)
	}
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "one subscription for all apps: each event reaches one of them only", "remove it: each app then has its own")
	}
	s.warn(Feature, "", noHistory, "")
	s.note(Feature, "", singlePubish, "")
}
