package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/authz"
	"lms/shared/objects"
	"lms/shared/web"
)

// Presigner signs uploads; *objects.Store is one.
type Presigner interface {
	PresignPut(ctx context.Context, key string, size int64, contentType, sha256Hex string, ttl time.Duration) (objects.Signed, error)
}

// QuizAPI answers requests about question banks, quizzes and attempts. Uploads is
// nil where files cannot be taken.
type QuizAPI struct {
	Service *quiz.Service
	Uploads Presigner
}

const (
	bankPath     = "/api/v1/question-banks/{id}"
	questionPath = "/api/v1/questions/{id}"
	quizPath     = "/api/v1/quizzes/{id}"
	attemptPath  = "/api/v1/attempts/{id}"
)

// Mount adds all routes.
func (a *QuizAPI) Mount(r *web.Router) {
	a.bankRoutes(r)
	a.quizRoutes(r)
	a.attemptRoutes(r)
}

func (a *QuizAPI) bankRoutes(r *web.Router) {
	op := operation("Question banks")
	edits := web.NeedsInCourse(authz.QuizEdit)
	web.Register(r, op(http.MethodGet, "/api/v1/question-banks", "list-question-banks", "List question banks that I may use", edits), a.listBanks)
	web.Register(r, created(op(http.MethodPost, "/api/v1/question-banks", "create-question-bank", "Create a question bank", edits)), a.createBank)
	web.Register(r, op(http.MethodGet, bankPath, "get-question-bank", "Get a question bank", edits), a.getBank)
	web.Register(r, op(http.MethodPatch, bankPath, "update-question-bank", "Change a question bank", edits), a.updateBank)
	web.Register(r, op(http.MethodDelete, bankPath, "delete-question-bank", "Delete a question bank that no quiz uses", edits), a.deleteBank)
	web.Register(r, op(http.MethodGet, bankPath+"/questions", "list-questions", "List the questions of a bank with their answers", edits), a.listQuestions)
	web.Register(r, created(op(http.MethodPost, bankPath+"/questions", "create-question", "Write a question", edits)), a.createQuestion)
	web.Register(r, op(http.MethodGet, questionPath, "get-question", "Get a question with its answers", edits), a.getQuestion)
	web.Register(r, op(http.MethodPatch, questionPath, "update-question", "Change a question; another definition makes a new version", edits), a.updateQuestion)
	web.Register(r, op(http.MethodDelete, questionPath, "delete-question", "Delete a question that no quiz needs", edits), a.deleteQuestion)
	web.Register(r, op(http.MethodGet, questionPath+"/versions", "list-question-versions", "List the versions of a question, the newest first", edits), a.listQuestionVersions)
	web.Register(r, created(op(http.MethodPost, bankPath+"/uploads", "create-question-upload", "Get a signed address to upload a package of questions to", edits)), a.createUpload)
	importing := op(http.MethodPost, "/api/v1/imports/questions", "import-questions", "Put the questions of an uploaded QTI package into a bank, in the background", edits)
	importing.Status = http.StatusAccepted
	web.Register(r, importing, a.importQuestions)
}

func (a *QuizAPI) quizRoutes(r *web.Router) {
	op := operation("Quizzes")
	edits, grades := web.NeedsInCourse(authz.QuizEdit), web.NeedsInCourse(authz.GradeEdit)
	web.Register(r, op(http.MethodGet, "/api/v1/courses/{id}/quizzes", "list-quizzes", "List the quizzes of a course", web.SignedIn()), a.listQuizzes)
	web.Register(r, created(op(http.MethodPost, "/api/v1/courses/{id}/quizzes", "create-quiz", "Create a quiz in a course", edits)), a.createQuiz)
	web.Register(r, op(http.MethodGet, quizPath, "get-quiz", "Get a quiz, with what holds for me", web.SignedIn()), a.getQuiz)
	web.Register(r, op(http.MethodPatch, quizPath, "update-quiz", "Change a quiz's settings", edits), a.updateQuiz)
	web.Register(r, op(http.MethodDelete, quizPath, "delete-quiz", "Delete a quiz; its attempts are kept", edits), a.deleteQuiz)
	web.Register(r, op(http.MethodPost, quizPath+"/publish", "publish-quiz", "Let learners take a quiz", edits), a.publishQuiz)
	web.Register(r, op(http.MethodPost, quizPath+"/unpublish", "unpublish-quiz", "Take a quiz back", edits), a.unpublishQuiz)
	web.Register(r, created(op(http.MethodPost, quizPath+"/preview", "preview-quiz", "Try a quiz as staff; it counts for nothing", edits)), a.previewQuiz)
	web.Register(r, op(http.MethodGet, quizPath+"/slots", "get-quiz-slots", "Get the slots of a quiz as one document", web.NeedsInCourse(authz.SubmissionRead)), a.getSlots)
	web.Register(r, op(http.MethodPut, quizPath+"/slots", "put-quiz-slots", "Replace the slots of a quiz as one document", edits), a.putSlots)
	web.Register(r, op(http.MethodGet, quizPath+"/overrides", "list-quiz-overrides", "List what is different for single people", web.NeedsInCourse(authz.GradeRead)), a.listOverrides)
	web.Register(r, op(http.MethodPut, quizPath+"/overrides/{user_id}", "put-quiz-override", "Give a person extra time, attempts, or a window of their own", edits), a.putOverride)
	web.Register(r, op(http.MethodDelete, quizPath+"/overrides/{user_id}", "delete-quiz-override", "Take a person's override away", edits), a.deleteOverride)
	web.Register(r, op(http.MethodGet, quizPath+"/grades", "list-quiz-grades", "List what counts for each person", web.NeedsInCourse(authz.GradeRead)), a.listGrades)
	web.Register(r, op(http.MethodGet, quizPath+"/grades/{user_id}", "get-quiz-grade", "Get what counts for a person", web.SignedIn()), a.getGrade)
	web.Register(r, op(http.MethodPut, quizPath+"/grades/{user_id}", "put-quiz-grade", "Set or excuse what counts for a person; it survives new attempts", grades), a.putGrade)
	regrade := op(http.MethodPost, quizPath+"/regrade", "regrade-quiz", "Mark all finished attempts anew, in the background", grades)
	regrade.Status = http.StatusAccepted
	web.Register(r, regrade, a.regradeQuiz)
	web.Register(r, op(http.MethodGet, quizPath+"/statistics", "get-quiz-statistics", "See how a quiz and its questions behaved", web.NeedsInCourse(authz.GradeRead)), a.statistics)
}

func (a *QuizAPI) attemptRoutes(r *web.Router) {
	op := operation("Attempts")
	grades := web.NeedsInCourse(authz.GradeEdit)
	web.Register(r, created(op(http.MethodPost, quizPath+"/attempts", "start-attempt", "Start an attempt, or get the one in progress (200)", web.SignedIn())), a.startAttempt)
	web.Register(r, op(http.MethodGet, quizPath+"/attempts", "list-attempts", "List attempts: mine, or all for staff; the newest first", web.SignedIn()), a.listAttempts)
	web.Register(r, op(http.MethodGet, attemptPath, "get-attempt", "Get an attempt with its questions", web.SignedIn()), a.getAttempt)
	web.Register(r, op(http.MethodPut, attemptPath+"/answers/{question_id}", "save-answer", "Save an answer; what is acknowledged is stored", web.SignedIn()), a.saveAnswer)
	web.Register(r, op(http.MethodPost, attemptPath+"/submit", "submit-attempt", "Hand an attempt in", web.SignedIn()), a.submitAttempt)
	web.Register(r, op(http.MethodGet, attemptPath+"/review", "review-attempt", "See what was right, once the quiz lets me", web.SignedIn()), a.reviewAttempt)
	web.Register(r, op(http.MethodPut, attemptPath+"/grades/{question_id}", "grade-answer", "Give points for an answer by hand", grades), a.gradeAnswer)
	web.Register(r, op(http.MethodPost, attemptPath+"/reopen", "reopen-attempt", "Let a learner go on with a finished attempt", grades), a.reopenAttempt)
}

// tagOf is the entity tag of an answer that depends on more than a version: who
// looks, what they did, and when.
func tagOf(body any) string {
	raw, err := json.Marshal(body)
	if err != nil {
		return "" // an answer that cannot be written has no tag either
	}
	sum := sha256.Sum256(raw)
	return `"h` + hex.EncodeToString(sum[:12]) + `"`
}

func tagged[T any](body T) *web.Resource[T] { return &web.Resource[T]{ETag: tagOf(body), Body: body} }

// ByQuizAndUser is the input of an operation on what a person has in a quiz.
type ByQuizAndUser struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
}

// ByAttemptAndQuestion is the input of an operation on a question of an attempt.
type ByAttemptAndQuestion struct {
	ID         uuid.UUID `path:"id"`
	QuestionID uuid.UUID `path:"question_id"`
}
