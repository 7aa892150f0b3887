package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// received is one event as the app got it.
type received struct {
	ID, Subject string
	At          time.Time
}

// subscriber is an app with one bulk subscription, as the services have them.
type subscriber struct {
	mux *http.ServeMux
	// refuse, when set, is asked for every entry; true answers RETRY.
	refuse func(id string) bool
	// work, when set, is done for each batch before its effect is there.
	work func(entries int)

	mu      sync.Mutex
	events  []received
	ids     map[string]bool
	batches int
	tokens  map[string]int // app tokens seen, with their number
}

type subscription struct {
	PubsubName    string            `json:"pubsubname"`
	Topic         string            `json:"topic"`
	Route         string            `json:"route"`
	BulkSubscribe bulkSubscribe     `json:"bulkSubscribe"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

type bulkSubscribe struct {
	Enabled            bool `json:"enabled"`
	MaxMessagesCount   int  `json:"maxMessagesCount"`
	MaxAwaitDurationMs int  `json:"maxAwaitDurationMs"`
}

// recommended is what every service uses; README.md has the measurements.
var recommended = bulkSubscribe{Enabled: true, MaxMessagesCount: 200, MaxAwaitDurationMs: 20}

func newSubscriber(component, topic string, bulk bulkSubscribe) *subscriber {
	s := &subscriber{mux: http.NewServeMux(), tokens: map[string]int{}, ids: map[string]bool{}}
	s.mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, []subscription{{PubsubName: component, Topic: topic, Route: "/events", BulkSubscribe: bulk}})
	})
	s.mux.HandleFunc("POST /events", s.deliver)
	return s
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *subscriber) deliver(w http.ResponseWriter, r *http.Request) {
	var batch struct {
		Entries []struct {
			EntryID string `json:"entryId"`
			Event   struct {
				ID      string `json:"id"`
				Subject string `json:"subject"`
			} `json:"event"`
		} `json:"entries"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	type status struct {
		EntryID string `json:"entryId"`
		Status  string `json:"status"`
	}
	var reply struct {
		Statuses []status `json:"statuses"`
	}
	if s.work != nil {
		s.work(len(batch.Entries))
	}
	now := time.Now()
	s.mu.Lock()
	s.batches++
	s.tokens[r.Header.Get("dapr-api-token")]++
	for _, entry := range batch.Entries {
		verdict := "SUCCESS"
		if s.refuse != nil && s.refuse(entry.Event.ID) {
			verdict = "RETRY"
		} else {
			s.ids[entry.Event.ID] = true
			s.events = append(s.events, received{ID: entry.Event.ID, Subject: entry.Event.Subject, At: now})
		}
		reply.Statuses = append(reply.Statuses, status{EntryID: entry.EntryID, Status: verdict})
	}
	s.mu.Unlock()
	writeJSON(w, reply)
}

// seen returns the events accepted so far, in the order of their arrival.
func (s *subscriber) seen() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.events...)
}

// distinct is the number of different events accepted so far.
func (s *subscriber) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

// has says whether the event was accepted.
func (s *subscriber) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the connection is gone; nobody reads the answer
	}
}
