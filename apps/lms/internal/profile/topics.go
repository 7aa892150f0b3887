package profile

import (
	"fmt"
	"strings"
	"time"
)

// topic checks a component that stands behind a topic.
func (s *subject) topic() {
	s.topicScopes()
	if s.Spec.IgnoreErrors {
		s.refuse(Loses, "ignoreErrors", "a sidecar whose broker was away at the start would go on without the topic for ever", "remove it")
	}
	if s.initTimeout() < 10*time.Second {
		s.note(Form, "initTimeout", "a broker that is still starting ends the sidecar after "+s.initTimeout().String()+"; it is started again", "initTimeout: 30s")
	}
	rules, ok := topicRules()[s.entry.Type]
	if !ok {
		s.warn(Loses, "type", "what "+s.entry.Type+" does with a message that fails, and whether it keeps order and history, is not known here; effects do not depend on it, since consumers fetch what is missing from the producers", "read its source before you trust it")
		return
	}
	rules(s)
}

// initTimeout is how long a sidecar waits for a component: 5 s unless it says
// otherwise.
func (s *subject) initTimeout() time.Duration {
	if d, err := time.ParseDuration(s.Spec.InitTimeout); err == nil {
		return d
	}
	return 5 * time.Second
}

// topicRules are the rules of each product that is known.
func topicRules() map[string]func(*subject) {
	return map[string]func(*subject){
		"pubsub.kafka": (*subject).kafka, "pubsub.redis": (*subject).redisStreams, "pubsub.rabbitmq": (*subject).rabbitmq,
		"pubsub.jetstream": (*subject).jetstream, "pubsub.mqtt3": (*subject).mqtt, "pubsub.pulsar": (*subject).pulsar,
		"pubsub.azure.servicebus.topics": (*subject).serviceBus, "pubsub.azure.servicebus.queues": (*subject).serviceBusQueues,
		"pubsub.azure.eventhubs": (*subject).eventHubs, "pubsub.aws.snssqs": (*subject).snssqs, "pubsub.gcp.pubsub": (*subject).gcpPubSub,
		"pubsub.in-memory": (*subject).inMemoryTopic,
	}
}

// What every product that lacks something is told, and what it costs.
const (
	unordered    = "messages are delivered in no particular order; consumers go by the numbers in the events, so that it only costs them look-ups"
	noHistory    = "a consumer that is new gets nothing that was published before it; it fetches that from the producers, which takes longer than from a broker that keeps it"
	singlePubish = "a bulk is published one message at a time, up to 100 beside each other: slower, and in no order"
)

func (s *subject) kafka() {
	if !s.isSet("authType") {
		s.refuse(Form, "authType", "the setting is required: the sidecar would end at its start", "authType: none, or password, mtls, oidc with its settings")
	}
	s.must("initialOffset", "newest", "oldest", "a consumer that starts after the first event never gets it from the broker")
	s.must("producerRequiredAcks", "all", "all", "an event that one broker acknowledged is gone when it dies")
	if s.isSet("consumerGroup") && !s.is("consumerGroup", "", "{appID}") {
		s.refuse(Loses, "consumerGroup", "one group for all apps: each event reaches one of them only", "remove it: each app is then a group")
	}
	if s.is("consumeRetryEnabled", "true", "false") {
		s.refuse(Loses, "consumeRetryEnabled", "an event that a consumer could not take is passed over at the next one that it could", "remove it")
	}
	if n, ok := s.number("backOffMaxRetries", "-1"); ok && n >= 0 {
		s.refuse(Loses, "backOffMaxRetries", fmt.Sprintf("after %v retries the next success commits past the event that failed", n), `backOffMaxRetries: "-1"`)
	}
	if !s.isSet("backOffMaxRetries") {
		s.note(Form, "backOffMaxRetries", "the default has no end, and it is not written", `backOffMaxRetries: "-1"`)
	}
	if d, ok := s.duration("sessionTimeout", "10s"); ok && d < 6*time.Second {
		s.warn(Form, "sessionTimeout", "a Kafka broker accepts none below 6s unless it is told to", "sessionTimeout: 6s")
	}
	if s.is("version", "2.0.0.0", "2.0.0.0", "2.0.0") {
		s.note(Form, "version", "2.0.0 by default: Kafka 4 no longer promises to speak that", "version: 3.6.0")
	}
	s.note(Repeats, "", "a producer that repeats may write an event twice or behind a later one, and a rebalance may deliver it twice; consumers know both", "")
}

func (s *subject) redisStreams() {
	if s.isSet("consumerID") && !s.consumerIsApp() {
		s.refuse(Loses, "consumerID", "the same consumer for all apps: each event reaches one of them only", "remove it: each app is then one")
	}
	processing, okP := s.duration("processingTimeout", "15s")
	if okP && processing == 0 {
		s.refuse(Loses, "processingTimeout", "0 switches redelivery off: what a killed consumer held never comes again", "processingTimeout: 90s")
	} else if okP && processing < deliveryLimit {
		s.warn(Repeats, "processingTimeout", fmt.Sprintf("%s is less than a delivery may take (%s): a slow batch is delivered a second time beside the first", processing, deliveryLimit), "processingTimeout: 90s")
	}
	if d, ok := s.duration("redeliverInterval", "60s"); ok && d == 0 {
		s.refuse(Loses, "redeliverInterval", "0 switches redelivery off: what a killed consumer held never comes again", "redeliverInterval: 15s")
	}
	if n, ok := s.number("maxLenApprox", "0"); ok && n > 0 && n < 100_000 {
		s.warn(Loses, "maxLenApprox", fmt.Sprintf("a consumer that is %v events behind loses the oldest; it fetches them from the producers", n), "maxLenApprox: \"1000000\", or streamTTL")
	}
	if !s.isSet("maxLenApprox") && !s.isSet("streamTTL") {
		s.warn(Form, "streamTTL", "streams are never cut: Redis holds every event in memory for ever, and refuses writes when it is full", "streamTTL: 168h")
	}
	if s.number1("concurrency", "10") {
		s.warn(Reorders, "concurrency", "10 handlers at a time: "+unordered, `concurrency: "1" orders what one replica gets`)
	}
	s.note(Loses, "", "what a consumer's retries give up is acknowledged and gone; dapr/resiliency.yaml therefore has no end", "")
}

// number1 says whether a number is certainly more than one.
func (s *subject) number1(name, standard string) bool {
	n, ok := s.number(name, standard)
	return ok && n > 1
}

// deliveryLimit is the time limit of a delivery in dapr/resiliency.yaml.
const deliveryLimit = 60 * time.Second

// consumerIsApp says whether consumerID differs from app to app.
func (s *subject) consumerIsApp() bool {
	v, known := s.value(s.component, "consumerID", "{appID}")
	return known && (strings.Contains(v, "{appID}") || strings.Contains(v, "{podName}"))
}

func (s *subject) rabbitmq() {
	s.must("durable", "true", "true", "the queue is gone when the broker restarts, with what waited in it")
	s.must("deletedWhenUnused", "true", "false", "the queue is deleted, with what waits in it, when its consumer goes away for a moment")
	s.must("deliveryMode", "0", "2", "messages are kept in memory only and gone when the broker restarts")
	s.must("publisherConfirm", "false", "true", "the broker is not asked whether it took a message: one that it did not is counted as published")
	s.must("requeueInFailure", "false", "true", "a message that a consumer could not take is thrown away")
	if s.isTrue("autoAck", "false") {
		s.refuse(Loses, "autoAck", "a message counts as delivered before the consumer has it: what it held when it died is gone", `autoAck: "false"`)
	}
	if n, ok := s.number("prefetchCount", "0"); ok && n == 0 {
		s.refuse(Loses, "prefetchCount", "0 hands a consumer everything that waits at once, which it holds in memory", `prefetchCount: "200"`)
	}
	if s.isSet("maxLen") || s.isSet("maxLenBytes") {
		s.warn(Loses, "maxLen", "what is beyond it is thrown away, the oldest first; consumers fetch it from the producers", "remove it")
	}
	if s.isSet("ttlInSeconds") {
		s.warn(Loses, "ttlInSeconds", "a message that waited that long is thrown away; consumers fetch it from the producers", "remove it")
	}
	if s.isSet("consumerID") && !s.consumerIsApp() || s.isSet("queueName") {
		s.refuse(Loses, "consumerID", "one queue for all apps: each event reaches one of them only", "remove it: each app then has a queue of its own")
	}
	s.warn(Loses, "", "a publish whose confirm does not come, since the connection broke, is reported as done; the hole is found within 10 s and filled from the producer", "")
	s.warn(Loses, "", "what is published before a consumer's queue exists reaches nobody: "+noHistory, "")
	if s.is("concurrency", "parallel", "parallel", "") {
		s.warn(Reorders, "concurrency", unordered, "concurrency: single")
	}
	s.note(Feature, "", singlePubish, "")
}

func (s *subject) jetstream() {
	app := func(name string) bool {
		v, known := s.value(s.component, name, "")
		return !known || strings.Contains(v, "{appID}")
	}
	switch {
	case !s.isSet("durableName"):
		s.refuse(Loses, "durableName", "without a name the consumer is gone with its sidecar, and what came meanwhile is not delivered to it", `durableName: "{appID}-`+s.role.topic.Publisher+`"`)
	case !app("durableName"):
		s.refuse(Loses, "durableName", "one durable consumer for all apps: each event reaches one of them only", `durableName: "{appID}-`+s.role.topic.Publisher+`"`)
	}
	switch {
	case !s.isSet("queueGroupName"):
		s.refuse(Form, "queueGroupName", "a second replica of a service could not subscribe: its durable consumer is taken", `queueGroupName: "{appID}"`)
	case !app("queueGroupName"):
		s.refuse(Loses, "queueGroupName", "one group for all apps: each event reaches one of them only", `queueGroupName: "{appID}"`)
	}
	if s.isSet("consumerID") {
		s.note(Form, "consumerID", "JetStream ignores it", "remove it")
	}
	if !s.is("deliverPolicy", "all", "all", "") {
		s.refuse(Loses, "deliverPolicy", "a consumer that starts after the first event never gets it from the broker", "deliverPolicy: all")
	}
	if s.is("ackPolicy", "explicit", "none", "all") {
		s.refuse(Loses, "ackPolicy", "a message counts as taken before its consumer has taken it", "ackPolicy: explicit")
	}
	if n, ok := s.number("maxDeliver", "0"); ok && n > 0 {
		s.refuse(Loses, "maxDeliver", fmt.Sprintf("a message that failed %v times never comes again", n), "remove it")
	}
	if s.isTrue("memoryStorage", "false") {
		s.warn(Loses, "memoryStorage", "where a consumer stands is forgotten when the server restarts: it gets everything again", "remove it")
	}
	if d, ok := s.duration("ackWait", "30s"); ok && d < deliveryLimit {
		s.warn(Repeats, "ackWait", fmt.Sprintf("%s is less than a delivery may take (%s): a slow batch is delivered a second time beside the first", d, deliveryLimit), "ackWait: 90s")
	}
	s.warn(Loses, "", "the server writes to the disk every two minutes unless told otherwise: a power cut takes what it had acknowledged since; the holes are filled from the producers", `in the server's settings: jetstream { sync_interval: always }`)
	s.note(Form, "streamName", "the stream must exist before a sidecar starts, with the topic "+s.role.topic.Name+" as its subject", "nats stream add, storage file, retention limits")
	s.note(Feature, "", singlePubish, "")
}

func (s *subject) inMemoryTopic() {
	s.refuse(Loses, "type", "each sidecar has a memory of its own: no event ever reaches another service", "any other pub/sub component")
}
