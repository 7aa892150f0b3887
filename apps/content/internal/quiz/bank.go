package quiz

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Limits of a bank and its questions.
const (
	MaxDescription = 20_000
	MaxTags        = 50
	MaxTag         = 64
)

// Bank is a collection of questions of an org unit. Quizzes of courses in the unit
// and below it may use them.
type Bank struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	// CourseID is the course that it was made for, if any: that course's staff may
	// change it without a right in the org unit.
	CourseID    *uuid.UUID
	Title       string
	Description string
	Questions   int
	CreatedBy   uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

func (b *Bank) settle() error {
	b.Title = strings.TrimSpace(b.Title)
	var f apperr.Fields
	checkText(&f, "title", b.Title, 1, MaxTitle)
	checkText(&f, "description", b.Description, 0, MaxDescription)
	return f.Err()
}

func (b Bank) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "question_bank", ResourceID: b.ID, TenantID: b.TenantID, OrgUnitID: b.OrgUnitID, Changes: changes,
	}
}

// Question is a question of a bank in its current version. Its kind never changes.
type Question struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	BankID   uuid.UUID
	Kind     marking.Kind
	Title    string
	Tags     []string
	// ExternalID is what an import calls it; unique in the bank.
	ExternalID string
	// Current is the number of the newest version.
	Current   int
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64

	Definition marking.Definition
}

func (q *Question) settle() error {
	q.Title = strings.TrimSpace(q.Title)
	tags := make([]string, 0, len(q.Tags))
	for _, t := range q.Tags {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	q.Tags = tags
	var f apperr.Fields
	checkText(&f, "title", q.Title, 1, MaxTitle)
	f.Require(len(tags) <= MaxTags, "tags", "too_many", "At most 50 tags.")
	for _, t := range tags {
		checkText(&f, "tags", t, 1, MaxTag)
	}
	return f.Err()
}

func (q Question) audit(action string, b Bank, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "question", ResourceID: q.ID, TenantID: q.TenantID, OrgUnitID: b.OrgUnitID, Changes: changes,
	}
}

func (q Question) changed(b Bank, deleted bool, at time.Time) events.QuestionChanged {
	return events.QuestionChanged{
		QuestionID: q.ID, BankID: q.BankID, TenantID: q.TenantID, OrgUnitID: b.OrgUnitID, Kind: string(q.Kind), Title: q.Title, Tags: q.Tags,
		Number: q.Current, Deleted: deleted, At: at,
	}
}

// QuestionVersion is one state of a question. It is never changed: attempts rest
// on it.
type QuestionVersion struct {
	QuestionID uuid.UUID
	TenantID   uuid.UUID
	Number     int
	Definition marking.Definition
	CreatedBy  uuid.UUID
	CreatedAt  time.Time
}

// Drawable is a question that a draw may take, in its newest version.
type Drawable struct {
	BankID     uuid.UUID
	QuestionID uuid.UUID
	Number     int
}
