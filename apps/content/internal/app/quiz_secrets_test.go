package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/content/internal/httpapi"
	"lms/shared/authz"
)

// secretive is a question of a random kind in which everything that must stay
// hidden carries a mark: feedback, accepted answers, notes of graders.
func secretive(t *rapid.T, n int) (body, []string) {
	word := func(what string) string { return fmt.Sprintf("zq%d%szq", n, what) }
	d := body{"prompt": fmt.Sprintf("Question %d", n), "general_feedback": word("general")}
	secrets := []string{word("general")}
	hide := func(what string) string { secrets = append(secrets, word(what)); return word(what) }
	kind := rapid.SampledFrom([]string{"single", "multiple", "true_false", "numeric", "short_text", "matching", "ordering", "essay"}).Draw(t, "kind")
	d["kind"] = kind
	switch kind {
	case "single", "multiple":
		d["choices"] = []body{{"text": "a", "correct": true, "feedback": hide("right")}, {"text": "b", "feedback": hide("wrong")}, {"text": "c"}}
	case "true_false":
		d["true_false"] = body{"answer": rapid.Bool().Draw(t, "true"), "true_feedback": hide("true"), "false_feedback": hide("false")}
	case "numeric":
		secret := fmt.Sprintf("77%d.1234567", n)
		secrets = append(secrets, secret)
		d["numeric"] = []body{{"value": secret, "feedback": hide("number")}}
	case "short_text":
		d["short_text"] = body{"accepted": []body{{"text": hide("accepted"), "feedback": hide("text")}}}
	case "matching":
		d["matching"] = body{"pairs": []body{{"prompt": "x", "match": "1"}, {"prompt": "y", "match": "2"}}}
	case "ordering":
		d["ordering"] = []body{{"text": "first"}, {"text": "second"}, {"text": "third"}}
	case "essay":
		d["essay"] = body{"grader_notes": hide("notes")}
	}
	return d, secrets
}

// attemptAt is some answer to a shown question.
func attemptAt(t *rapid.T, q httpapi.AttemptQuestion) any {
	switch {
	case rapid.IntRange(0, 4).Draw(t, "blank") == 0:
		return nil
	case string(q.Kind) == "single":
		return body{"choice": q.Choices[rapid.IntRange(0, 2).Draw(t, "choice")].ID}
	case string(q.Kind) == "multiple":
		return body{"choices": []string{q.Choices[0].ID}}
	case string(q.Kind) == "true_false":
		return body{"value": true}
	case string(q.Kind) == "numeric":
		return body{"number": "1"}
	case string(q.Kind) == "matching":
		return body{"pairs": body{q.Prompts[0].ID: q.Options[0].ID}}
	case string(q.Kind) == "ordering":
		return body{"order": []string{q.Items[0].ID, q.Items[1].ID, q.Items[2].ID}}
	}
	return body{"text": "words"}
}

// everything is the raw bytes of every answer that a learner can get about a quiz
// and an attempt, whatever its status.
func (c *classroom) everything(p authz.Principal, e exam, a httpapi.Attempt) string {
	var all strings.Builder
	note := func(raw []byte) { all.Write(raw); all.WriteString("\n") }
	client := c.as(p)
	for _, path := range []string{
		e.path(""), e.path("/slots"), e.path("/attempts"), e.path("/grades"), e.path("/grades/" + p.UserID.String()), e.path("/statistics"), e.path("/overrides"),
		attempt(a, ""), attempt(a, "/review"), "/api/v1/courses/" + c.course.String() + "/quizzes", "/api/v1/question-banks?course_id=" + c.course.String(),
	} {
		note(client.GET(path).Body)
	}
	for _, q := range a.Questions {
		note(client.GET("/api/v1/questions/" + q.QuestionID.String() + "?course_id=" + c.course.String()).Body)
		note(client.GET("/api/v1/questions/" + q.QuestionID.String() + "/versions").Body)
		// What is refused must not tell either.
		note(client.PUT(attempt(a, "/answers/"+q.QuestionID.String()), body{"seq": 1, "answer": body{"choice": "zz"}}).Body)
		note(client.PUT(attempt(a, "/answers/"+q.QuestionID.String()), body{"seq": 1, "answer": body{"text": strings.Repeat("x ", 2000)}}).Body)
	}
	return all.String()
}

// TestSecretsStaySecret searches the bytes of whatever a learner can get, over
// random quizzes, for what the feedback policy hides.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	rapid.Check(t, func(rt *rapid.T) {
		bank := c.bank()
		var secrets []string
		var slots []body
		for i := range rapid.IntRange(1, 4).Draw(rt, "questions") {
			d, hidden := secretive(rt, i)
			q := c.question(bank.ID, fmt.Sprintf("zqtitle%dzq", i), d)
			secrets = append(secrets, hidden...)
			secrets = append(secrets, q.Title) // a title may tell what is asked for
			slots = append(slots, body{"question_id": q.ID, "points": 1})
		}
		policy := rapid.SampledFrom([]string{"never", "after_attempt", "after_due"}).Draw(rt, "feedback")
		due := c.clock.Now().Add(time.Hour)
		e := c.quiz(body{"feedback": policy, "due_at": due, "shuffle_choices": rapid.Bool().Draw(rt, "shuffle"), "shuffle_questions": rapid.Bool().Draw(rt, "order")})
		c.slots(&e, slots...)
		c.publish(&e)
		p := c.person(c.tenant, "", uuid.Nil)
		c.learns(p)
		r := c.as(p).POST(e.path("/attempts"), nil).Expect(http.StatusCreated)
		var a httpapi.Attempt
		r.JSON(&a)
		hidden := func(when, raw string) {
			for _, s := range secrets {
				require.NotContains(rt, raw, s, "%s, feedback %s", when, policy)
			}
			for _, name := range []string{`"correct":`, `"solution"`, `"earned"`, `"score":`, `"class"`} {
				require.NotContains(rt, raw, name, "%s, feedback %s", when, policy)
			}
		}
		hidden("started", string(r.Body))
		for i, q := range a.Questions {
			hidden("saved", string(c.as(p).PUT(attempt(a, "/answers/"+q.QuestionID.String()), body{"seq": i + 1, "answer": attemptAt(rt, q)}).Expect(http.StatusOK).Body))
		}
		hidden("in progress", c.everything(p, e, a))
		submitted := c.as(p).POST(attempt(a, "/submit"), nil).Expect(http.StatusOK)
		if policy == "after_attempt" {
			c.as(p).GET(attempt(a, "/review")).Expect(http.StatusOK)
			return
		}
		hidden("submitted", string(submitted.Body))
		hidden("finished", c.everything(p, e, a))
		c.clock.Advance(time.Hour + time.Second)
		c.sweep()
		if policy == "never" {
			hidden("after the due time", c.everything(p, e, a))
		} else {
			c.as(p).GET(attempt(a, "/review")).Expect(http.StatusOK)
		}
	})
}
