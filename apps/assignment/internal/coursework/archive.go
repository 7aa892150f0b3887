package coursework

import (
	"context"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// JobArchive packs the work of an assignment into a zip.
const JobArchive = "archive-submissions"

// Archiving is the input of JobArchive.
type Archiving struct {
	AssignmentID uuid.UUID `json:"assignment_id"`
	// All packs every attempt, not only the ones that count.
	All bool `json:"all"`
}

// StartArchive packs all that was handed in to an assignment, in the background.
func (s *Service) StartArchive(ctx context.Context, actor authz.Principal, id uuid.UUID, all bool) (work.Job, error) {
	a, _, err := s.staffOf(ctx, actor, id, authz.SubmissionRead)
	if err != nil {
		return work.Job{}, err
	}
	return inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (work.Job, error) {
		job, err := tx.Enqueue(ctx, JobArchive, Archiving{AssignmentID: id, All: all}, work.JobOptions{TenantID: a.TenantID})
		if err != nil {
			return work.Job{}, err
		}
		return job, tx.Audit(ctx, a.audit("submissions.archive", nil))
	})
}

// Packed is a submission with the folder that it is put into.
type Packed struct {
	SubmissionSeen
	Folder string
}

// Name is what a file of it is called in the archive: where names are hidden the
// learner's own name of the file could tell who it is.
func (p Packed) Name(i int) string {
	f := p.Files[i]
	if p.Veiled() {
		return neutralName(f, i)
	}
	return strconv.Itoa(i+1) + "-" + plainName(f.Filename)
}

// neutralName is a name of a file that says nothing of whose it is.
func neutralName(f File, i int) string {
	name := "file-" + strconv.Itoa(i+1)
	if e := extensionOf(f.Filename); extension.MatchString(e) {
		name += "." + e
	}
	return name
}

// DownloadName is what a file is called for who looks at it.
func (x SubmissionSeen) DownloadName(f File) string {
	if !x.Veiled() {
		return f.Filename
	}
	for i, other := range x.Files {
		if other.ID == f.ID {
			return neutralName(f, i)
		}
	}
	return neutralName(f, 0)
}

// Archive gives what is to be packed, page by page: whoever asked for it is judged
// again, since a job may run later.
func (s *Service) Archive(ctx context.Context, actor authz.Principal, in Archiving, each func(context.Context, Packed) error) error {
	a, _, err := s.staffOf(ctx, actor, in.AssignmentID, authz.SubmissionRead)
	if err != nil {
		return err
	}
	req := page.Request{Limit: page.MaxLimit}
	for {
		p, err := s.Submissions(ctx, actor, SubmissionFilter{AssignmentID: a.ID, Current: !in.All}, req)
		if err != nil {
			return err
		}
		folders, err := s.folders(ctx, a, p.Items)
		if err != nil {
			return err
		}
		for i, x := range p.Items {
			if err := each(ctx, Packed{SubmissionSeen: x, Folder: folders[i]}); err != nil {
				return err
			}
		}
		if p.NextCursor == "" {
			return nil
		}
		req.Cursor = p.NextCursor
	}
}

// folders name whose work it is, or the alias.
func (s *Service) folders(ctx context.Context, _ Assignment, list []SubmissionSeen) ([]string, error) {
	var ids []uuid.UUID
	for _, x := range list {
		if !x.Veiled() {
			ids = append(ids, x.UserID)
		}
	}
	cards, err := s.People.Cards(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, x := range list {
		attempt := "attempt-" + strconv.Itoa(x.Attempt)
		switch {
		case x.Veiled():
			out[i] = x.Grade.Alias.String() + "/" + attempt
		default:
			name := plainName(cards[x.UserID].SortName)
			out[i] = strings.Trim(name+"-"+x.UserID.String()[24:], "-") + "/" + attempt
		}
	}
	return out, nil
}

// plainName is a text as a part of a path: no separators, no control characters,
// nothing that begins with a dot.
func plainName(text string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), strings.ContainsRune(".-_() ", r):
			return r
		}
		return '_'
	}, text)
	out = strings.TrimLeft(strings.TrimSpace(out), ".")
	if r := []rune(out); len(r) > 120 {
		out = string(r[len(r)-120:])
	}
	return out
}
