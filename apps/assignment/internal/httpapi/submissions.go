package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/objects"
	"lms/shared/web"
)

// verifyTimeout bounds the reading of an uploaded file.
const verifyTimeout = 2 * time.Minute

// Upload says how to send a file.
type Upload struct {
	ID        uuid.UUID      `json:"id"`
	Upload    objects.Signed `json:"upload" doc:"Make exactly this request with the file as its body"`
	ExpiresAt time.Time      `json:"expires_at" doc:"When it is forgotten unless it is handed in"`
}

// File is a file of a submission.
type File struct {
	ID        uuid.UUID `json:"id"`
	Filename  string    `json:"filename"`
	MediaType string    `json:"media_type" doc:"What the bytes show"`
	Size      int64     `json:"size"`
	SHA256    string    `json:"sha256"`
}

type createUploadInput struct {
	web.ByID
	Body struct {
		Filename  string `json:"filename" maxLength:"255"`
		MediaType string `json:"media_type,omitempty" maxLength:"255" doc:"Absent: application/octet-stream"`
		Size      int64  `json:"size" minimum:"1" doc:"In bytes"`
		SHA256    string `json:"sha256" minLength:"64" maxLength:"64" doc:"Of the file, in hexadecimal digits"`
	}
}

const uploadLife = time.Hour

func (a *API) createUpload(ctx context.Context, in *createUploadInput) (*web.Resource[Upload], error) {
	if a.Files == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be taken at the moment.")
	}
	f, err := a.Service.CreateUpload(ctx, web.Actor(ctx), coursework.NewFile{
		AssignmentID: in.ID, Filename: in.Body.Filename, MediaType: in.Body.MediaType, Size: in.Body.Size, SHA256: in.Body.SHA256,
	})
	if err != nil {
		return nil, err
	}
	// The address is signed anew for a repeated request: what is kept is the upload.
	signed, err := a.Files.PresignPut(ctx, f.ObjectKey, f.Size, f.DeclaredType, f.SHA256, uploadLife)
	if err != nil {
		return nil, err
	}
	return web.Created(Upload{ID: f.ID, Upload: signed, ExpiresAt: f.ExpiresAt}, 0, ""), nil
}

type completeUploadInput struct {
	web.ByID
	UploadID uuid.UUID `path:"upload_id"`
}

func (a *API) completeUpload(ctx context.Context, in *completeUploadInput) (*web.Resource[File], error) {
	f, err := a.Service.CompleteUpload(ctx, web.Actor(ctx), in.ID, in.UploadID)
	if err != nil {
		return nil, err
	}
	return web.Res(showFile(f), 0), nil
}

func showFile(f coursework.File) File {
	return File{ID: f.ID, Filename: f.Filename, MediaType: f.MediaType, Size: f.Size, SHA256: f.SHA256}
}

// Submission is one attempt. Where names are hidden from the viewer there is an
// alias instead of people, and files have names that say nothing.
type Submission struct {
	ID              uuid.UUID   `json:"id"`
	AssignmentID    uuid.UUID   `json:"assignment_id"`
	CourseID        uuid.UUID   `json:"course_id"`
	UserID          *uuid.UUID  `json:"user_id,omitempty" doc:"Who handed it in"`
	Alias           *uuid.UUID  `json:"alias,omitempty" doc:"Instead of people, where names are hidden; good as the person in grade routes"`
	GroupID         *uuid.UUID  `json:"group_id,omitempty"`
	MemberIDs       []uuid.UUID `json:"member_ids,omitempty" doc:"Whom it counts for"`
	Attempt         int         `json:"attempt"`
	Current         bool        `json:"current" doc:"It is the one that counts"`
	Text            string      `json:"text,omitempty" doc:"HTML"`
	Links           []string    `json:"links"`
	Files           []File      `json:"files"`
	SubmittedAt     time.Time   `json:"submitted_at" doc:"By the server's clock"`
	DueAt           *time.Time  `json:"due_at,omitempty" doc:"The due time that held for it"`
	SecondsLate     int64       `json:"seconds_late"`
	WithdrawnAt     *time.Time  `json:"withdrawn_at,omitempty"`
	NeedsGrading    *bool       `json:"needs_grading,omitempty" doc:"For staff: it counts and nobody has graded it"`
	ProgressPending bool        `json:"progress_pending,omitempty" doc:"Progress shows it in a moment, and not yet"`
}

func showSubmission(x coursework.SubmissionSeen) Submission {
	out := Submission{
		ID: x.ID, AssignmentID: x.AssignmentID, CourseID: x.CourseID, Attempt: x.Attempt, Text: x.Body, Links: list(x.Links),
		Files: make([]File, len(x.Files)), SubmittedAt: x.SubmittedAt, SecondsLate: x.SecondsLate, WithdrawnAt: x.WithdrawnAt,
	}
	for i, f := range x.Files {
		out.Files[i] = showFile(f)
		out.Files[i].Filename = x.DownloadName(f)
	}
	if g := x.Grade; g != nil {
		out.Current = g.SubmissionID != nil && *g.SubmissionID == x.ID
		if !x.Own {
			needs := out.Current && g.ExcusedAt == nil && (g.GradedSubmission == nil || *g.GradedSubmission != x.ID)
			out.NeedsGrading = &needs
		}
	}
	if x.Veiled() {
		out.Alias = &x.Grade.Alias
		return out
	}
	out.UserID, out.GroupID, out.MemberIDs, out.DueAt = &x.UserID, x.GroupID, x.MemberIDs, x.DueAt
	return out
}

type submitInput struct {
	web.ByID
	Body struct {
		Text    string      `json:"text,omitempty" maxLength:"500000" doc:"HTML; what could do harm is taken out"`
		Links   []string    `json:"links,omitempty" maxItems:"20" doc:"http or https"`
		FileIDs []uuid.UUID `json:"file_ids,omitempty" maxItems:"50" doc:"Of completed uploads"`
	}
}

func (a *API) submit(ctx context.Context, in *submitInput) (*web.Resource[Submission], error) {
	h, err := a.Service.Submit(ctx, web.Actor(ctx), in.ID, coursework.Work{Text: in.Body.Text, Links: in.Body.Links, FileIDs: in.Body.FileIDs})
	if err != nil {
		return nil, err
	}
	return web.Created(showHanded(h), h.Version, "/api/v1/submissions/"+h.ID.String()), nil
}

func showHanded(h coursework.Handed) Submission {
	out := showSubmission(coursework.SubmissionSeen{Submission: h.Submission, Files: h.Files, Own: true})
	out.Current, out.ProgressPending = h.WithdrawnAt == nil, h.Pending
	return out
}

func (a *API) withdraw(ctx context.Context, in *web.ByID) (*web.Resource[Submission], error) {
	h, err := a.Service.Withdraw(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showHanded(h), h.Version), nil
}

type listSubmissionsInput struct {
	web.ByID
	web.Page
	UserID       uuid.UUID `query:"user_id" doc:"For staff: of a person, or of an alias"`
	GroupID      uuid.UUID `query:"group_id" doc:"For staff"`
	Current      bool      `query:"current" doc:"Only what counts"`
	NeedsGrading bool      `query:"needs_grading" doc:"For staff: only what nobody has graded"`
	Late         string    `query:"late" enum:"true,false"`
	Sort         string    `query:"sort" enum:"submitted_at,-submitted_at" default:"submitted_at"`
}

func (a *API) listSubmissions(ctx context.Context, in *listSubmissionsInput) (*web.List[Submission], error) {
	p, err := a.Service.Submissions(ctx, web.Actor(ctx), coursework.SubmissionFilter{
		AssignmentID: in.ID, UserID: optional(in.UserID), GroupID: optional(in.GroupID), Current: in.Current, Waiting: in.NeedsGrading,
		Late: flag(in.Late), Descending: in.Sort == "-submitted_at",
	}, in.Request())
	return web.ListOf(p, showSubmission), err
}

func (a *API) getSubmission(ctx context.Context, in *web.ByID) (*web.Resource[Submission], error) {
	x, err := a.Service.Submission(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showSubmission(x), x.Version), nil
}

// Download is a signed address of a file.
type Download struct {
	objects.Signed
	Filename string `json:"filename"`
}

type getFileInput struct {
	web.ByID
	FileID uuid.UUID `path:"file_id"`
}

func (a *API) getFile(ctx context.Context, in *getFileInput) (*web.Resource[Download], error) {
	if a.Files == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be given at the moment.")
	}
	f, name, err := a.Service.FileForDownload(ctx, web.Actor(ctx), in.ID, in.FileID)
	if err != nil {
		return nil, err
	}
	signed, err := a.Files.PresignGet(ctx, f.ObjectKey, objects.Download{Filename: name, Type: f.MediaType, TTL: coursework.DownloadFor})
	if err != nil {
		return nil, err
	}
	web.SetHeader(ctx, "Cache-Control", "no-store")
	return web.Res(Download{Signed: signed, Filename: name}, 0), nil
}

type archiveInput struct {
	web.ByID
	Body *struct {
		All bool `json:"all,omitempty" doc:"Every attempt, not only the ones that count"`
	}
}

func (a *API) archive(ctx context.Context, in *archiveInput) (*web.JobAccepted, error) {
	job, err := a.Service.StartArchive(ctx, web.Actor(ctx), in.ID, in.Body != nil && in.Body.All)
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

// Comment is what somebody wrote about a submission.
type Comment struct {
	ID        uuid.UUID  `json:"id"`
	AuthorID  *uuid.UUID `json:"author_id,omitempty" doc:"Absent where names are hidden"`
	ByStaff   bool       `json:"by_staff"`
	Text      string     `json:"text"`
	CreatedAt time.Time  `json:"created_at"`
}

func showComment(x coursework.SubmissionSeen) func(coursework.Comment) Comment {
	return func(c coursework.Comment) Comment {
		out := Comment{ID: c.ID, AuthorID: &c.AuthorID, ByStaff: c.ByStaff, Text: c.Body, CreatedAt: c.CreatedAt}
		if !c.ByStaff && x.Veiled() {
			out.AuthorID = nil
		}
		return out
	}
}

type pagedInput struct {
	web.ByID
	web.Page
}

func (a *API) listComments(ctx context.Context, in *pagedInput) (*web.List[Comment], error) {
	p, x, err := a.Service.Comments(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showComment(x)), err
}

type addCommentInput struct {
	web.ByID
	Body struct {
		Text string `json:"text" maxLength:"20000"`
	}
}

func (a *API) addComment(ctx context.Context, in *addCommentInput) (*web.Resource[Comment], error) {
	c, x, err := a.Service.AddComment(ctx, web.Actor(ctx), in.ID, in.Body.Text)
	if err != nil {
		return nil, err
	}
	return web.Created(showComment(x)(c), 0, ""), nil
}

// Change is one entry of a history.
type Change struct {
	ID      uuid.UUID            `json:"id"`
	At      time.Time            `json:"at"`
	Cause   string               `json:"cause" doc:"submitted, withdrawn, graded, bulk, import, deleted, posted, hidden, override, dates, policy, missing, merged, recomputed"`
	ActorID *uuid.UUID           `json:"actor_id,omitempty" doc:"Absent: a rule of the system, or names are hidden"`
	Note    string               `json:"note,omitempty"`
	Before  *coursework.Snapshot `json:"before,omitempty" doc:"For staff"`
	After   *coursework.Snapshot `json:"after,omitempty" doc:"For staff"`
}

func (a *API) getHistory(ctx context.Context, in *pagedInput) (*web.List[Change], error) {
	p, x, err := a.Service.SubmissionHistory(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, func(c coursework.Change) Change {
		out := Change{ID: c.ID, At: c.At, Cause: c.Cause}
		if x.Own {
			return out
		}
		out.ActorID, out.Note, out.Before, out.After = c.ActorID, c.Note, c.Before, &c.After
		if x.Veiled() {
			if c.Cause == coursework.CauseSubmitted || c.Cause == coursework.CauseWithdrawn {
				out.ActorID = nil
			}
			out.Before, out.After = veil(out.Before), veil(out.After)
		}
		return out
	}), err
}

// veil takes out what few people have: their own due time.
func veil(s *coursework.Snapshot) *coursework.Snapshot {
	if s == nil {
		return nil
	}
	out := *s
	out.DueAt = nil
	return &out
}
