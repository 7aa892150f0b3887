package infra

import (
	"context"
	"time"

	"lms/apps/lms/internal/supervisor"
)

// mosquitto is an MQTT broker that keeps sessions and undelivered messages.
func mosquitto() Component {
	return Component{
		Name: "mosquitto", Kind: supervisor.KindBroker, Variables: []string{"LMS_MQTT_URL"}, Ports: 1,
		values: func(s Site) map[string]string { return map[string]string{"LMS_MQTT_URL": "mqtt://" + s.address(0)} },
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			t, err := debian(ctx, "mosquitto", "mosquitto", s.Say)
			if err != nil {
				return nil, err
			}
			file, err := s.configure("mosquitto.conf",
				"listener "+number(s.Ports[0])+" 127.0.0.1", "allow_anonymous true", "user root",
				"persistence true", "persistence_location "+s.data()+"/",
				// Written after each change: by default twice an hour, and a kill loses the rest.
				"autosave_on_changes true", "autosave_interval 1",
				// What waited for a consumer reaches its sidecar before that has subscribed, is
				// never acknowledged, and would fill a smaller window: nothing came any more.
				"max_queued_messages 0", "max_inflight_messages 0",
				"log_dest stderr", "log_type error", "log_type warning",
			)
			if err != nil {
				return nil, err
			}
			return []supervisor.Process{s.process(s.Name, "mqtt", s.Ports[0], supervisor.Program{
				Path: t.program, Args: []string{"-c", file}, Env: append(s.environment(), t.environment...), Grace: 10 * time.Second,
			})}, nil
		},
	}
}
