// Package events receives the reliable call by which the user service ends
// sessions. auth has no database and so no inbox: the call may come twice and in
// any order, and means the same each time.
package events

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// envelope is the frame of a reliable call, as far as auth needs it: the kit's
// outbox sends more.
type envelope struct {
	Data internalapi.EndSessions `json:"data"`
}

// Mount adds the route. sessions fails while the service has no secret yet.
func Mount(r *web.Router, sessions func() (*session.Sessions, error)) {
	web.Raw(r, web.Op{
		Method: http.MethodPost, Path: strings.Replace(internalapi.PathCalls, "{name}", internalapi.CallEndSessions, 1), ID: "call-end-sessions",
		Summary: "End the sessions of a person, or move their epoch", Tag: "internal", Access: web.Internal("user"),
		Accepts: []string{"application/json"}, MaxBody: 64 << 10,
	}, func(w http.ResponseWriter, req *http.Request) error {
		var env envelope
		if err := json.NewDecoder(req.Body).Decode(&env); err != nil {
			return apperr.Malformed("call_unreadable", "The call cannot be read.").With(err)
		}
		if env.Data.UserID == uuid.Nil {
			return apperr.Invalid(apperr.Field{Path: "data.user_id", Code: "required", Message: "is missing"})
		}
		s, err := sessions()
		if err != nil {
			return err
		}
		ended, err := s.EndAll(req.Context(), env.Data)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(internalapi.EndSessionsReply{Ended: ended})
	})
}
