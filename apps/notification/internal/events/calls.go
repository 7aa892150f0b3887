package events

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// Persons is what user tells of.
type Persons interface {
	SetStatus(ctx context.Context, id uuid.UUID, mergedInto *uuid.UUID) error
	Erase(ctx context.Context, id, tenant uuid.UUID) error
	DeliveriesUntil() time.Time
	Export(ctx context.Context, id, tenant uuid.UUID) (map[string]json.RawMessage, error)
}

// MountCalls adds the receivers of reliable calls. notification has no database and
// so no inbox: each call means the same however often and in whatever order it comes.
func MountCalls(r *web.Router, p Persons) {
	receive(r, internalapi.CallPersonStatus, "A person may or may not act", func(ctx context.Context, in internalapi.PersonStatus) (internalapi.Done, error) {
		if in.UserID == uuid.Nil {
			return internalapi.Done{}, errNobody()
		}
		return internalapi.Done{}, p.SetStatus(ctx, in.UserID, in.MergedInto)
	})
	receive(r, internalapi.CallErasePerson, "Forget a person", func(ctx context.Context, in internalapi.ErasePerson) (out internalapi.ErasePersonReply, err error) {
		if in.UserID == uuid.Nil {
			return out, errNobody()
		}
		if err := p.Erase(ctx, in.UserID, in.TenantID); err != nil {
			return out, err
		}
		until := p.DeliveriesUntil()
		return internalapi.ErasePersonReply{
			Erased: []string{"notifications", "notification_preferences", "notification_mails", "notification_digest"},
			Kept:   []internalapi.KeptData{{Category: "notification_deliveries", Reason: "The person's id alone, without address or text, to explain what was sent.", Until: &until}},
		}, nil
	})
	receive(r, internalapi.CallExportPerson, "Everything that is kept of a person", func(ctx context.Context, in internalapi.ExportPerson) (out internalapi.ExportPersonReply, err error) {
		if in.UserID == uuid.Nil {
			return out, errNobody()
		}
		out.Sections, err = p.Export(ctx, in.UserID, in.TenantID)
		return out, err
	})
}

func errNobody() error {
	return apperr.Invalid(apperr.Field{Path: "data.user_id", Code: "required", Message: "is missing"})
}

// envelope is the frame of a reliable call, as far as it is needed here.
type envelope[T any] struct {
	Data T `json:"data"`
}

func receive[In, Out any](r *web.Router, name, summary string, fn func(context.Context, In) (Out, error)) {
	web.Raw(r, web.Op{
		Method: http.MethodPost, Path: strings.Replace(internalapi.PathCalls, "{name}", name, 1), ID: "call-" + name, Summary: summary, Tag: "internal",
		Access: web.Internal("user"), Accepts: []string{"application/json"}, MaxBody: 64 << 10,
	}, func(w http.ResponseWriter, req *http.Request) error {
		var env envelope[In]
		if err := json.NewDecoder(req.Body).Decode(&env); err != nil {
			return apperr.Malformed("call_unreadable", "The call cannot be read.").With(err)
		}
		out, err := fn(req.Context(), env.Data)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(out)
	})
}
