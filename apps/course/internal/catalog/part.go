package catalog

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// Part is a content, quiz or assignment, or the gradebook, on its way into or out of
// a course: its own service makes it or gives it out, by reliable call.
type Part struct {
	// TransferID is the course that is being made, or the job of an export.
	TransferID uuid.UUID
	// ResourceID is that of the new resource, or of the one that is exported.
	ResourceID uuid.UUID
	TenantID   uuid.UUID
	CourseID   uuid.UUID
	Kind       string
	Title      string
	// Items are the places that wait for it.
	Items   []uuid.UUID
	State   string // pending, made, failed
	Code    string
	Message string
	Notes   []internalapi.PartNote
	// Package and Main, or File, are what an export got.
	Package   []byte
	Main      string
	File      *internalapi.PartFile
	CreatedAt time.Time
	SettledAt *time.Time
}

// PartPatience is how long a transfer waits for other services before it ends
// without what they owe.
const PartPatience = 24 * time.Hour

// keepParts is how long what became of parts can be read.
const keepParts = 30 * 24 * time.Hour

// partOwner is the service that a kind of part belongs to.
func partOwner(kind string) string {
	switch kind {
	case events.ItemAssignment, internalapi.PartGradebook:
		return "assignment"
	default:
		return "content"
	}
}

func (p Part) key() string { return p.TransferID.String() + "/" + p.ResourceID.String() }

// partOf reads the key of a part's call.
func partOf(key string) (transfer, resource uuid.UUID, err error) {
	a, b, _ := strings.Cut(key, "/")
	if transfer, err = uuid.Parse(a); err == nil {
		resource, err = uuid.Parse(b)
	}
	if err != nil {
		return uuid.Nil, uuid.Nil, apperr.Internal(err)
	}
	return transfer, resource, nil
}

// settle takes over what became of the part. What is settled stays.
func (p *Part) settle(r internalapi.PartReply, now time.Time) {
	p.Code, p.Message, p.Notes = r.Code, r.Message, r.Notes
	p.Package, p.Main, p.File = r.Package, r.Main, r.File
	if p.State = r.State; r.State != internalapi.PartPending {
		p.SettledAt = &now
	}
}

// reported is the part as lines of a job's report: what became of it, and what of
// it was left out.
func (p Part) reported() []Note {
	ref := p.Title
	if p.Kind == internalapi.PartGradebook {
		ref = "gradebook"
	}
	n := Note{Ref: ref, Status: NoteMade, Code: p.Code, Message: "The " + p.Kind + " is there."}
	switch p.State {
	case internalapi.PartPending:
		n.Status, n.Code, n.Message = NotePending, "pending", "The "+p.Kind+" is on its way."
	case internalapi.PartFailed:
		n.Status, n.Message = NotePlaceholder, p.Message
	}
	out := []Note{n}
	for _, x := range p.Notes {
		at := ref
		if x.Ref != "" {
			at += ": " + x.Ref
		}
		out = append(out, Note{Ref: at, Status: NoteAdjusted, Code: x.Code, Message: x.Message})
	}
	return out
}

// Pending says whether any part is.
func Pending(parts []Part) bool {
	for _, p := range parts {
		if p.State == internalapi.PartPending {
			return true
		}
	}
	return false
}

// Report is what became of all parts, in lines.
func Report(parts []Part) []Note {
	var out []Note
	for _, p := range parts {
		out = append(out, p.reported()...)
	}
	return out
}
