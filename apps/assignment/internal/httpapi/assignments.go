package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// Assignment is a piece of work that a course asks for.
type Assignment struct {
	ID              uuid.UUID  `json:"id"`
	CourseID        uuid.UUID  `json:"course_id"`
	GroupID         *uuid.UUID `json:"group_id,omitempty" doc:"Of the course's assignment groups"`
	Position        int        `json:"position"`
	Title           string     `json:"title"`
	Description     string     `json:"description,omitempty" doc:"HTML; not in lists"`
	GradingType     string     `json:"grading_type" enum:"points,percent,letter,pass_fail,gpa,not_graded"`
	SchemeID        *uuid.UUID `json:"scheme_id,omitempty"`
	Points          *Decimal   `json:"points" doc:"Possible points"`
	ExtraPoints     *Decimal   `json:"extra_points" doc:"By so much a score may be above points"`
	OmitFromFinal   bool       `json:"omit_from_final"`
	DueAt           *time.Time `json:"due_at,omitempty"`
	AvailableFrom   *time.Time `json:"available_from,omitempty"`
	CutoffAt        *time.Time `json:"cutoff_at,omitempty" doc:"The last moment at which late work is taken"`
	LockAt          *time.Time `json:"lock_at,omitempty" doc:"From then on nothing is taken from anybody"`
	SubmissionTypes []string   `json:"submission_types" doc:"text, file, link; none: nothing is handed in here"`
	FileExtensions  []string   `json:"file_extensions"`
	MaxFiles        int        `json:"max_files"`
	MaxFileBytes    int64      `json:"max_file_bytes"`
	Attempts        *int       `json:"attempts,omitempty" doc:"Absent: any number"`
	GroupSetID      *uuid.UUID `json:"group_set_id,omitempty" doc:"Group work: one submission per group of the set"`
	Anonymous       bool       `json:"anonymous"`
	Posting         string     `json:"posting" enum:"automatic,manual"`
	RubricID        *uuid.UUID `json:"rubric_id,omitempty"`
	RubricRevision  *int       `json:"rubric_revision,omitempty"`
	Published       bool       `json:"published"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	Mine            *Mine      `json:"mine,omitempty" doc:"For a learner: own dates and attempts; not in lists"`
}

// Mine is what holds for the learner who looks: extensions are in it (rule 21).
type Mine struct {
	DueAt         *time.Time `json:"due_at,omitempty"`
	AvailableFrom *time.Time `json:"available_from,omitempty"`
	CutoffAt      *time.Time `json:"cutoff_at,omitempty"`
	Attempts      *int       `json:"attempts,omitempty"`
	AttemptsUsed  int        `json:"attempts_used"`
	SubmissionID  *uuid.UUID `json:"submission_id,omitempty" doc:"What counts: the newest that was not withdrawn"`
	SubmittedAt   *time.Time `json:"submitted_at,omitempty"`
	SecondsLate   int64      `json:"seconds_late"`
}

func showAssignment(a coursework.Assignment) Assignment {
	return Assignment{
		ID: a.ID, CourseID: a.CourseID, GroupID: a.GroupID, Position: a.Position, Title: a.Title, Description: a.Description,
		GradingType: a.GradingType, SchemeID: a.SchemeID, Points: decimal(&a.Points), ExtraPoints: decimal(&a.ExtraPoints),
		OmitFromFinal: a.OmitFromFinal, DueAt: a.DueAt, AvailableFrom: a.AvailableFrom, CutoffAt: a.CutoffAt, LockAt: a.LockAt,
		SubmissionTypes: list(a.SubmissionTypes), FileExtensions: list(a.FileExtensions), MaxFiles: a.MaxFiles, MaxFileBytes: a.MaxFileBytes,
		Attempts: a.Attempts, GroupSetID: a.GroupSetID, Anonymous: a.Anonymous, Posting: a.Posting, RubricID: a.RubricID,
		RubricRevision: a.RubricRevision, Published: a.Published, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

type listAssignmentsInput struct {
	web.ByID
	web.Page
	Query     string    `query:"q" maxLength:"200" doc:"In the title"`
	GroupID   uuid.UUID `query:"group_id"`
	Published string    `query:"published" enum:"true,false" doc:"For staff"`
	Sort      string    `query:"sort" enum:"position,-position,due_at,-due_at,title,-title,created_at,-created_at" default:"position"`
}

func (a *API) listAssignments(ctx context.Context, in *listAssignmentsInput) (*web.List[Assignment], error) {
	f := coursework.AssignmentFilter{CourseID: in.ID, Query: in.Query, GroupID: optional(in.GroupID), Sort: in.Sort}
	f.Published = flag(in.Published)
	p, err := a.Service.Assignments(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, func(x coursework.Assignment) Assignment {
		x.Description = ""
		return showAssignment(x)
	}), err
}

type assignmentBody struct {
	GroupID         *uuid.UUID `json:"group_id,omitempty" doc:"Of the course's assignment groups"`
	Position        *int       `json:"position,omitempty"`
	Title           string     `json:"title" maxLength:"255"`
	Description     string     `json:"description,omitempty" maxLength:"100000" doc:"HTML; what could do harm is taken out"`
	GradingType     string     `json:"grading_type,omitempty" enum:"points,percent,letter,pass_fail,gpa,not_graded" doc:"Absent: points"`
	SchemeID        *uuid.UUID `json:"scheme_id,omitempty" doc:"Grading scheme; absent: the course's"`
	Points          *Decimal   `json:"points,omitempty" doc:"Absent: 100"`
	ExtraPoints     *Decimal   `json:"extra_points,omitempty" doc:"By so much a score may be above points; absent: 0"`
	OmitFromFinal   bool       `json:"omit_from_final,omitempty"`
	DueAt           *time.Time `json:"due_at,omitempty"`
	AvailableFrom   *time.Time `json:"available_from,omitempty"`
	CutoffAt        *time.Time `json:"cutoff_at,omitempty" doc:"The last moment at which late work is taken"`
	LockAt          *time.Time `json:"lock_at,omitempty" doc:"From then on nothing is taken from anybody"`
	SubmissionTypes *[]string  `json:"submission_types,omitempty" maxItems:"3" doc:"text, file, link; none: nothing is handed in here; absent: text and file"`
	FileExtensions  []string   `json:"file_extensions,omitempty" maxItems:"50" doc:"Such as pdf; absent: any"`
	MaxFiles        *int       `json:"max_files,omitempty" doc:"Absent: 10"`
	MaxFileBytes    *int64     `json:"max_file_bytes,omitempty" doc:"Absent: 100 MiB"`
	Attempts        *int       `json:"attempts,omitempty" doc:"Absent: any number"`
	GroupSetID      *uuid.UUID `json:"group_set_id,omitempty" doc:"Group work: one submission per group of the set"`
	Anonymous       bool       `json:"anonymous,omitempty" doc:"Who grades does not learn whose work it is until grades are posted"`
	Posting         string     `json:"posting,omitempty" enum:"automatic,manual" doc:"manual: learners see nothing of grades until they are posted; absent: automatic"`
	RubricID        *uuid.UUID `json:"rubric_id,omitempty"`
	RubricRevision  *int       `json:"rubric_revision,omitempty" doc:"Absent: the newest"`
}

type createAssignmentInput struct {
	web.ByID
	Body assignmentBody
}

func (a *API) createAssignment(ctx context.Context, in *createAssignmentInput) (*web.Resource[Assignment], error) {
	b := in.Body
	var bad apperr.Fields
	points, extra := b.Points.Value(&bad, "points"), b.ExtraPoints.Value(&bad, "extra_points")
	if err := bad.Err(); err != nil {
		return nil, err
	}
	made, err := a.Service.CreateAssignment(ctx, web.Actor(ctx), in.ID, func(f *coursework.AssignmentFields) {
		f.GroupID, f.Title, f.Description, f.SchemeID, f.OmitFromFinal = b.GroupID, b.Title, b.Description, b.SchemeID, b.OmitFromFinal
		f.DueAt, f.AvailableFrom, f.CutoffAt, f.LockAt = utc(b.DueAt), utc(b.AvailableFrom), utc(b.CutoffAt), utc(b.LockAt)
		f.FileExtensions, f.Attempts, f.GroupSetID, f.Anonymous = b.FileExtensions, b.Attempts, b.GroupSetID, b.Anonymous
		f.RubricID, f.RubricRevision = b.RubricID, b.RubricRevision
		set(&f.Points, points)
		set(&f.ExtraPoints, extra)
		set(&f.Position, b.Position)
		set(&f.SubmissionTypes, b.SubmissionTypes)
		set(&f.MaxFiles, b.MaxFiles)
		set(&f.MaxFileBytes, b.MaxFileBytes)
		setText(&f.GradingType, b.GradingType)
		setText(&f.Posting, b.Posting)
		if b.Anonymous && b.Posting == "" {
			f.Posting = coursework.PostManual
		}
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showAssignment(made), made.Version, "/api/v1/assignments/"+made.ID.String()), nil
}

func (a *API) getAssignment(ctx context.Context, in *web.ByID) (*web.Resource[Assignment], error) {
	seen, err := a.Service.Assignment(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := showAssignment(seen.Assignment)
	if seen.Staff {
		return web.Res(out, seen.Version), nil
	}
	d := seen.Dates
	out.Mine = &Mine{DueAt: d.DueAt, AvailableFrom: d.OpensAt, CutoffAt: d.CutoffAt, Attempts: d.Attempts}
	if g := seen.Mine; g != nil {
		out.Mine.AttemptsUsed, out.Mine.SubmissionID, out.Mine.SubmittedAt, out.Mine.SecondsLate = g.AttemptsUsed, g.SubmissionID, g.SubmittedAt, g.SecondsLate
	}
	return web.Res(out, 0), nil // the version is not all that the answer depends on
}

type updateAssignmentInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		GroupID         patch.Field[uuid.UUID] `json:"group_id,omitzero"`
		Position        patch.Field[int]       `json:"position,omitzero"`
		Title           patch.Field[string]    `json:"title,omitzero"`
		Description     patch.Field[string]    `json:"description,omitzero"`
		GradingType     patch.Field[string]    `json:"grading_type,omitzero"`
		SchemeID        patch.Field[uuid.UUID] `json:"scheme_id,omitzero"`
		Points          patch.Field[Decimal]   `json:"points,omitzero"`
		ExtraPoints     patch.Field[Decimal]   `json:"extra_points,omitzero"`
		OmitFromFinal   patch.Field[bool]      `json:"omit_from_final,omitzero"`
		DueAt           patch.Field[time.Time] `json:"due_at,omitzero"`
		AvailableFrom   patch.Field[time.Time] `json:"available_from,omitzero"`
		CutoffAt        patch.Field[time.Time] `json:"cutoff_at,omitzero"`
		LockAt          patch.Field[time.Time] `json:"lock_at,omitzero"`
		SubmissionTypes patch.Field[[]string]  `json:"submission_types,omitzero"`
		FileExtensions  patch.Field[[]string]  `json:"file_extensions,omitzero"`
		MaxFiles        patch.Field[int]       `json:"max_files,omitzero"`
		MaxFileBytes    patch.Field[int64]     `json:"max_file_bytes,omitzero"`
		Attempts        patch.Field[int]       `json:"attempts,omitzero" doc:"null: any number"`
		GroupSetID      patch.Field[uuid.UUID] `json:"group_set_id,omitzero"`
		Anonymous       patch.Field[bool]      `json:"anonymous,omitzero"`
		Posting         patch.Field[string]    `json:"posting,omitzero"`
		RubricID        patch.Field[uuid.UUID] `json:"rubric_id,omitzero"`
		RubricRevision  patch.Field[int]       `json:"rubric_revision,omitzero" doc:"Another revision of the rubric; with another rubric and absent: its newest"`
	}
}

func (a *API) updateAssignment(ctx context.Context, in *updateAssignmentInput) (*web.Resource[Assignment], error) {
	b := in.Body
	var bad apperr.Fields
	for _, t := range []*patch.Field[time.Time]{&b.DueAt, &b.AvailableFrom, &b.CutoffAt, &b.LockAt} {
		t.Value = t.Value.UTC().Truncate(time.Microsecond)
	}
	points, extra := given(&bad, "points", b.Points), given(&bad, "extra_points", b.ExtraPoints)
	if err := bad.Err(); err != nil {
		return nil, err
	}
	changed, err := a.Service.UpdateAssignment(ctx, web.Actor(ctx), in.ID, in.Version(), func(f *coursework.AssignmentFields) {
		b.GroupID.ApplyPtr(&f.GroupID)
		b.Position.Apply(&f.Position)
		b.Title.Apply(&f.Title)
		b.Description.Apply(&f.Description)
		b.GradingType.Apply(&f.GradingType)
		b.SchemeID.ApplyPtr(&f.SchemeID)
		set(&f.Points, points)
		set(&f.ExtraPoints, extra)
		b.OmitFromFinal.Apply(&f.OmitFromFinal)
		b.DueAt.ApplyPtr(&f.DueAt)
		b.AvailableFrom.ApplyPtr(&f.AvailableFrom)
		b.CutoffAt.ApplyPtr(&f.CutoffAt)
		b.LockAt.ApplyPtr(&f.LockAt)
		b.SubmissionTypes.Apply(&f.SubmissionTypes)
		b.FileExtensions.Apply(&f.FileExtensions)
		b.MaxFiles.Apply(&f.MaxFiles)
		b.MaxFileBytes.Apply(&f.MaxFileBytes)
		b.Attempts.ApplyPtr(&f.Attempts)
		b.GroupSetID.ApplyPtr(&f.GroupSetID)
		b.Anonymous.Apply(&f.Anonymous)
		b.Posting.Apply(&f.Posting)
		if b.RubricID.ApplyPtr(&f.RubricID) {
			f.RubricRevision = nil
		}
		b.RubricRevision.ApplyPtr(&f.RubricRevision)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showAssignment(changed), changed.Version), nil
}

// given is a number of a merge patch; null is 0.
func given(bad *apperr.Fields, path string, f patch.Field[Decimal]) *coursework.Points {
	if !f.Set {
		return nil
	}
	return f.Value.Value(bad, path)
}

type deleteAssignmentInput struct {
	web.ByID
	web.IfMatch
	Detach bool `query:"detach" doc:"Also where it is in use: its places in the curriculum lose it"`
}

func (a *API) deleteAssignment(ctx context.Context, in *deleteAssignmentInput) (*web.Empty, error) {
	return nil, a.Service.DeleteAssignment(ctx, web.Actor(ctx), in.ID, in.Version(), in.Detach)
}

type publishInput struct {
	web.ByID
	web.OptionalIfMatch
}

func (a *API) publish(ctx context.Context, in *publishInput) (*web.Resource[Assignment], error) {
	changed, err := a.Service.PublishAssignment(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	return web.Res(showAssignment(changed), changed.Version), nil
}

func (a *API) unpublish(ctx context.Context, in *publishInput) (*web.Resource[Assignment], error) {
	changed, err := a.Service.UnpublishAssignment(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	return web.Res(showAssignment(changed), changed.Version), nil
}
