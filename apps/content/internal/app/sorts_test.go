package app

import (
	"net/http"
	"testing"
	"time"

	"lms/apps/content/internal/httpapi"
	"lms/shared/testkit"
)

func TestBanksAndQuestionsAreSorted(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	teacher := c.as(c.teacher)
	const banks = "/api/v1/question-banks"
	var bank httpapi.QuestionBank
	for _, title := range []string{"Beta", "alpha", "Gamma"} {
		c.clock.Advance(time.Minute)
		teacher.POST(banks, body{"org_unit_id": c.unit, "title": title}).Expect(http.StatusCreated).JSON(&bank)
	}
	questions := banks + "/" + bank.ID.String() + "/questions"
	c.clock.Advance(time.Minute)
	r := teacher.GET(banks + "/" + bank.ID.String()).Expect(http.StatusOK) // Gamma becomes Also gamma
	teacher.With("If-Match", r.ETag()).PATCH(banks+"/"+bank.ID.String(), body{"title": "Also gamma"}).Expect(http.StatusOK)
	var first httpapi.Question
	for i, title := range []string{"Éclair", "zebra", "Apple"} {
		c.clock.Advance(time.Minute)
		var q httpapi.Question
		teacher.POST(questions, body{"title": title, "definition": essay("?")}).Expect(http.StatusCreated).JSON(&q)
		if i == 0 {
			first = q
		}
	}
	c.clock.Advance(time.Minute)
	path := "/api/v1/questions/" + first.ID.String()
	teacher.With("If-Match", teacher.GET(path).Expect(http.StatusOK).ETag()).PATCH(path, body{"title": "ÉCLAIR"}).Expect(http.StatusOK)
	for path, want := range map[string]map[string][]string{
		banks: {
			"title":      {"alpha", "Also gamma", "Beta"},
			"created_at": {"Beta", "alpha", "Also gamma"},
			"updated_at": {"Beta", "alpha", "Also gamma"},
		},
		questions: {
			"title":      {"Apple", "zebra", "ÉCLAIR"},
			"created_at": {"ÉCLAIR", "zebra", "Apple"},
			"updated_at": {"zebra", "Apple", "ÉCLAIR"},
		},
	} {
		testkit.Sorted(t, teacher, path, "title", want)
	}
}
