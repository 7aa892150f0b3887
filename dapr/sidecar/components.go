package main

import (
	"github.com/dapr/components-contrib/bindings/cron"
	"github.com/dapr/components-contrib/bindings/localstorage"
	contribnames "github.com/dapr/components-contrib/nameresolution"
	clusternames "github.com/dapr/components-contrib/nameresolution/kubernetes"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	inmemorypubsub "github.com/dapr/components-contrib/pubsub/in-memory"
	"github.com/dapr/components-contrib/pubsub/jetstream"
	"github.com/dapr/components-contrib/pubsub/kafka"
	mqtt "github.com/dapr/components-contrib/pubsub/mqtt3"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"
	redispubsub "github.com/dapr/components-contrib/pubsub/redis"
	clustersecrets "github.com/dapr/components-contrib/secretstores/kubernetes"
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"
	inmemorystate "github.com/dapr/components-contrib/state/in-memory"
	postgresv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresv2 "github.com/dapr/components-contrib/state/postgresql/v2"
	redisstate "github.com/dapr/components-contrib/state/redis"
	sqlitestate "github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/dapr/pkg/components"
	"github.com/dapr/dapr/pkg/components/bindings"
	"github.com/dapr/dapr/pkg/components/configuration"
	"github.com/dapr/dapr/pkg/components/conversation"
	"github.com/dapr/dapr/pkg/components/crypto"
	"github.com/dapr/dapr/pkg/components/lock"
	middleware "github.com/dapr/dapr/pkg/components/middleware/http"
	"github.com/dapr/dapr/pkg/components/nameresolution"
	"github.com/dapr/dapr/pkg/components/pubsub"
	"github.com/dapr/dapr/pkg/components/secretstores"
	"github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/kit/logger"
)

// register lists the components that this sidecar can load: those of the
// profiles under components/, and what a cluster has in their place (its client is in
// the program in any case); no other. A component of any other type in
// the resources folder ends the start with its name.
//
// Every registry gets a logger, also the empty ones: daprd hands it to what it
// creates, and some components dereference it without asking.
func register(contrib, runtime logger.Logger, table *names) *registry.Options {
	configurations := configuration.NewRegistry()
	configurations.Logger = contrib
	locks := lock.NewRegistry()
	locks.Logger = contrib
	cryptos := crypto.NewRegistry()
	cryptos.Logger = contrib
	conversations := conversation.NewRegistry()
	conversations.Logger = contrib
	middlewares := middleware.NewRegistry()
	middlewares.Logger = runtime

	return registry.NewOptions().
		WithPubSubs(pubSubs(contrib)).
		WithStateStores(stateStores(contrib)).
		WithBindings(bindingTypes(contrib)).
		WithSecretStores(secretStores(contrib)).
		WithNameResolutions(nameResolutions(contrib, table)).
		WithConfigurations(configurations).
		WithLocks(locks).
		WithCryptoProviders(cryptos).
		WithConversations(conversations).
		WithHTTPMiddlewares(middlewares)
}

func pubSubs(log logger.Logger) *pubsub.Registry {
	r := pubsub.NewRegistry()
	r.Logger = log
	r.RegisterComponent(kafka.NewKafka, "kafka")
	r.RegisterComponent(redispubsub.NewRedisStreams, "redis")
	r.RegisterComponent(rabbitmq.NewRabbitMQ, "rabbitmq")
	r.RegisterComponent(jetstream.NewJetStream, "jetstream")
	r.RegisterComponent(mqtt.NewMQTTPubSub, "mqtt3", "mqtt")
	r.RegisterComponent(inmemorypubsub.New, "in-memory")
	return r
}

func stateStores(log logger.Logger) *state.Registry {
	r := state.NewRegistry()
	r.Logger = log
	r.RegisterComponent(sqlitestate.NewSQLiteStateStore, "sqlite", "sqlite3")
	r.RegisterComponent(redisstate.NewRedisStateStore, "redis")
	r.RegisterComponent(inmemorystate.NewInMemoryStateStore, "in-memory")
	for _, name := range []string{"postgresql", "postgres"} {
		r.RegisterComponentWithVersions(name, components.Versioning{
			Preferred: components.VersionConstructor{Version: "v2", Constructor: postgresv2.NewPostgreSQLStateStore},
			Others:    []components.VersionConstructor{{Version: "v1", Constructor: postgresv1.NewPostgreSQLStateStore}},
			Default:   "v1",
		})
	}
	return r
}

func bindingTypes(log logger.Logger) *bindings.Registry {
	r := bindings.NewRegistry()
	r.Logger = log
	r.RegisterOutputBinding(localstorage.NewLocalStorage, "localstorage")
	r.RegisterOutputBinding(newMailer, "smtp")
	r.RegisterInputBinding(cron.NewCron, "cron")
	return r
}

func secretStores(log logger.Logger) *secretstores.Registry {
	r := secretstores.NewRegistry()
	r.Logger = log
	r.RegisterComponent(env.NewEnvSecretStore, "local.env")
	r.RegisterComponent(file.NewLocalSecretStore, "local.file")
	r.RegisterComponent(clustersecrets.NewKubernetesSecretStore, "kubernetes")
	return r
}

func nameResolutions(log logger.Logger, table *names) *nameresolution.Registry {
	r := nameresolution.NewRegistry()
	r.Logger = log
	r.RegisterComponent(func(logger.Logger) contribnames.Resolver { return table }, "sqlite")
	r.RegisterComponent(mdns.NewResolver, "mdns")
	r.RegisterComponent(clusternames.NewResolver, "kubernetes") // what the runtime takes in a cluster
	return r
}
