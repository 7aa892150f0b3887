package events

import (
	"encoding/json"
	"net/http"
	"strings"

	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// MountCalls adds the receivers of what user tells every service about people. search
// keeps nothing about people of its own: ids of a course's staff are in the index as
// course tells them, and go when course tells that they are gone; what was searched
// for is kept without a person.
func MountCalls(r *web.Router) {
	receive(r, internalapi.CallPersonStatus, "A person may or may not act", internalapi.Done{})
	receive(r, internalapi.CallErasePerson, "Forget a person", internalapi.ErasePersonReply{Erased: []string{}, Kept: []internalapi.KeptData{}})
	receive(r, internalapi.CallExportPerson, "Everything that is kept of a person", internalapi.ExportPersonReply{Sections: map[string]json.RawMessage{}})
}

func receive(r *web.Router, name, summary string, answer any) {
	web.Raw(r, web.Op{
		Method: http.MethodPost, Path: strings.Replace(internalapi.PathCalls, "{name}", name, 1), ID: "call-" + name, Summary: summary, Tag: "internal",
		Access: web.Internal("user"), Accepts: []string{"application/json"}, MaxBody: 64 << 10,
	}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(answer)
	})
}
