package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/objects"
	"lms/shared/patch"
	"lms/shared/web"
)

// QuestionBank is a collection of questions.
type QuestionBank struct {
	ID          uuid.UUID  `json:"id"`
	TenantID    uuid.UUID  `json:"tenant_id"`
	OrgUnitID   uuid.UUID  `json:"org_unit_id"`
	CourseID    *uuid.UUID `json:"course_id,omitempty" doc:"The course that it was made for"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Questions   int        `json:"questions" doc:"How many there are"`
	CreatedBy   uuid.UUID  `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

func showBank(b quiz.Bank) QuestionBank {
	return QuestionBank{
		ID: b.ID, TenantID: b.TenantID, OrgUnitID: b.OrgUnitID, CourseID: b.CourseID, Title: b.Title, Description: b.Description,
		Questions: b.Questions, CreatedBy: b.CreatedBy, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
	}
}

// ViaCourse is how staff of a course come to a bank.
type ViaCourse struct {
	CourseID uuid.UUID `query:"course_id" doc:"A course whose quizzes may use the bank: for staff of the course who hold nothing in the org unit"`
}

type listBanksInput struct {
	web.Page
	Query     string    `query:"q" maxLength:"200"`
	OrgUnitID uuid.UUID `query:"org_unit_id"`
	CourseID  uuid.UUID `query:"course_id" doc:"Those that quizzes of the course may use"`
	Sort      string    `query:"sort" enum:"title,-title,-created_at,created_at,-updated_at,updated_at" default:"title"`
}

func (a *QuizAPI) listBanks(ctx context.Context, in *listBanksInput) (*web.List[QuestionBank], error) {
	f := quiz.BankFilter{Query: in.Query, CourseID: optional(in.CourseID), UnitID: optional(in.OrgUnitID), Sort: in.Sort}
	p, err := a.Service.Banks(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showBank), err
}

type createBankInput struct {
	Body struct {
		OrgUnitID   *uuid.UUID `json:"org_unit_id,omitempty" doc:"Whose it is; or instead course_id"`
		CourseID    *uuid.UUID `json:"course_id,omitempty" doc:"The course that it is for: the org unit is the course's, and its staff may change it"`
		Title       string     `json:"title" maxLength:"255"`
		Description string     `json:"description,omitempty" maxLength:"20000" doc:"HTML"`
	}
}

func (a *QuizAPI) createBank(ctx context.Context, in *createBankInput) (*web.Resource[QuestionBank], error) {
	b := in.Body
	if (b.OrgUnitID == nil) == (b.CourseID == nil) {
		return nil, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "pair", Message: "Either org_unit_id, or course_id."})
	}
	bank := quiz.Bank{CourseID: b.CourseID, Title: b.Title, Description: b.Description}
	if b.OrgUnitID != nil {
		bank.OrgUnitID = *b.OrgUnitID
	}
	made, err := a.Service.CreateBank(ctx, web.Actor(ctx), bank)
	if err != nil {
		return nil, err
	}
	return web.Created(showBank(made), made.Version, "/api/v1/question-banks/"+made.ID.String()), nil
}

type getBankInput struct {
	web.ByID
	ViaCourse
}

func (a *QuizAPI) getBank(ctx context.Context, in *getBankInput) (*web.Resource[QuestionBank], error) {
	b, err := a.Service.Bank(ctx, web.Actor(ctx), in.ID, optional(in.CourseID))
	if err != nil {
		return nil, err
	}
	return web.Res(showBank(b), b.Version), nil
}

type updateBankInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title       patch.Field[string] `json:"title"`
		Description patch.Field[string] `json:"description"`
	}
}

func (a *QuizAPI) updateBank(ctx context.Context, in *updateBankInput) (*web.Resource[QuestionBank], error) {
	b, err := a.Service.UpdateBank(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(b *quiz.Bank) {
		in.Body.Title.Apply(&b.Title)
		in.Body.Description.Apply(&b.Description)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showBank(b), b.Version), nil
}

type versionedInput struct {
	web.ByID
	web.IfMatch
}

func (a *QuizAPI) deleteBank(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteBank(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}

// Question is a question with its answers: for authors alone.
type Question struct {
	ID         uuid.UUID          `json:"id"`
	BankID     uuid.UUID          `json:"bank_id"`
	Kind       string             `json:"kind"`
	Title      string             `json:"title"`
	Tags       []string           `json:"tags"`
	ExternalID string             `json:"external_id,omitempty" doc:"What an import calls it"`
	Number     int                `json:"number" doc:"Of the current version"`
	Definition marking.Definition `json:"definition"`
	CreatedAt  time.Time          `json:"created_at"`
	UpdatedAt  time.Time          `json:"updated_at"`
}

func showQuestion(q quiz.Question) Question {
	return Question{
		ID: q.ID, BankID: q.BankID, Kind: string(q.Kind), Title: q.Title, Tags: q.Tags, ExternalID: q.ExternalID, Number: q.Current,
		Definition: q.Definition, CreatedAt: q.CreatedAt, UpdatedAt: q.UpdatedAt,
	}
}

type listQuestionsInput struct {
	web.ByID
	web.Page
	ViaCourse
	Query string `query:"q" maxLength:"200"`
	Kind  string `query:"kind" enum:"single,multiple,true_false,numeric,short_text,matching,ordering,essay"`
	Tag   string `query:"tag" maxLength:"64"`
	Sort  string `query:"sort" enum:"title,-title,-created_at,created_at,-updated_at,updated_at" default:"title"`
}

func (a *QuizAPI) listQuestions(ctx context.Context, in *listQuestionsInput) (*web.List[Question], error) {
	f := quiz.QuestionFilter{BankID: in.ID, Query: in.Query, Kind: in.Kind, Tag: in.Tag, Sort: in.Sort}
	p, err := a.Service.Questions(ctx, web.Actor(ctx), f, optional(in.CourseID), in.Request())
	return web.ListOf(p, showQuestion), err
}

type createQuestionInput struct {
	web.ByID
	Body struct {
		Title      string             `json:"title" maxLength:"255"`
		Tags       []string           `json:"tags,omitempty" maxItems:"50"`
		ExternalID string             `json:"external_id,omitempty" maxLength:"255"`
		Definition marking.Definition `json:"definition"`
	}
}

func (a *QuizAPI) createQuestion(ctx context.Context, in *createQuestionInput) (*web.Resource[Question], error) {
	q, err := a.Service.CreateQuestion(ctx, web.Actor(ctx), in.ID, quiz.NewQuestion{
		Title: in.Body.Title, Tags: in.Body.Tags, ExternalID: in.Body.ExternalID, Definition: in.Body.Definition,
	})
	if err != nil {
		return nil, under("definition", err)
	}
	return web.Created(showQuestion(q), q.Version, "/api/v1/questions/"+q.ID.String()), nil
}

// under names the fields of a definition as they stand in the body.
func under(prefix string, err error) error {
	e := apperr.From(err)
	if e.Kind != apperr.KindInvalid {
		return err
	}
	c := *e
	c.Fields = make([]apperr.Field, len(e.Fields))
	for i, f := range e.Fields {
		if f.Path != "title" && f.Path != "tags" && f.Path != "external_id" && f.Path != prefix+".kind" {
			f.Path = prefix + "." + f.Path
		}
		c.Fields[i] = f
	}
	return &c
}

type getQuestionInput struct {
	web.ByID
	ViaCourse
}

func (a *QuizAPI) getQuestion(ctx context.Context, in *getQuestionInput) (*web.Resource[Question], error) {
	q, err := a.Service.Question(ctx, web.Actor(ctx), in.ID, optional(in.CourseID))
	if err != nil {
		return nil, err
	}
	return web.Res(showQuestion(q), q.Version), nil
}

type updateQuestionInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title      patch.Field[string]             `json:"title"`
		Tags       patch.Field[[]string]           `json:"tags"`
		Definition patch.Field[marking.Definition] `json:"definition" doc:"The whole definition: it makes a new version"`
	}
}

func (a *QuizAPI) updateQuestion(ctx context.Context, in *updateQuestionInput) (*web.Resource[Question], error) {
	var edit quiz.QuestionEdit
	if in.Body.Title.Set {
		edit.Title = &in.Body.Title.Value
	}
	if in.Body.Tags.Set {
		if edit.Tags = in.Body.Tags.Value; edit.Tags == nil {
			edit.Tags = []string{}
		}
	}
	if in.Body.Definition.Set && !in.Body.Definition.Null {
		edit.Definition = &in.Body.Definition.Value
	}
	q, err := a.Service.UpdateQuestion(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), edit)
	if err != nil {
		return nil, under("definition", err)
	}
	return web.Res(showQuestion(q), q.Version), nil
}

func (a *QuizAPI) deleteQuestion(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteQuestion(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}

// QuestionVersion is one state of a question.
type QuestionVersion struct {
	Number     int                `json:"number"`
	Definition marking.Definition `json:"definition"`
	CreatedBy  uuid.UUID          `json:"created_by"`
	CreatedAt  time.Time          `json:"created_at"`
}

type listQuestionVersionsInput struct {
	web.ByID
	web.Page
	ViaCourse
}

func (a *QuizAPI) listQuestionVersions(ctx context.Context, in *listQuestionVersionsInput) (*web.List[QuestionVersion], error) {
	p, err := a.Service.QuestionVersions(ctx, web.Actor(ctx), in.ID, optional(in.CourseID), in.Request())
	return web.ListOf(p, func(v quiz.QuestionVersion) QuestionVersion {
		return QuestionVersion{Number: v.Number, Definition: v.Definition, CreatedBy: v.CreatedBy, CreatedAt: v.CreatedAt}
	}), err
}

type createUploadInput struct {
	web.ByID
	Body struct {
		Filename string `json:"filename" maxLength:"255"`
		Size     int64  `json:"size" minimum:"1" doc:"In bytes; at most 128 MiB"`
		SHA256   string `json:"sha256" minLength:"64" maxLength:"64" doc:"Of the file, in lower-case hexadecimal digits"`
	}
}

// QuestionUpload says how to send a package of questions.
type QuestionUpload struct {
	ID     uuid.UUID      `json:"id"`
	Upload objects.Signed `json:"upload" doc:"Make exactly this request with the file as its body"`
}

const questionUploadLife = time.Hour

// createUpload signs the address anew for a repeated request: what is kept is the
// upload, not the address.
func (a *QuizAPI) createUpload(ctx context.Context, in *createUploadInput) (*web.Resource[QuestionUpload], error) {
	if a.Uploads == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be taken at the moment.")
	}
	u, err := a.Service.CreateUpload(ctx, web.Actor(ctx), in.ID, quiz.Upload{Filename: in.Body.Filename, Size: in.Body.Size, SHA256: in.Body.SHA256})
	if err != nil {
		return nil, err
	}
	signed, err := a.Uploads.PresignPut(ctx, u.Key, u.Size, "application/octet-stream", u.SHA256, questionUploadLife)
	if err != nil {
		return nil, err
	}
	return web.Created(QuestionUpload{ID: u.ID, Upload: signed}, 0, ""), nil
}

type importQuestionsInput struct {
	Body struct {
		BankID   uuid.UUID `json:"bank_id"`
		UploadID uuid.UUID `json:"upload_id"`
		DryRun   bool      `json:"dry_run,omitempty" doc:"Only report what would be done"`
	}
}

func (a *QuizAPI) importQuestions(ctx context.Context, in *importQuestionsInput) (*web.JobAccepted, error) {
	job, err := a.Service.StartImport(ctx, web.Actor(ctx), quiz.ImportRequest{BankID: in.Body.BankID, UploadID: in.Body.UploadID, DryRun: in.Body.DryRun})
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
