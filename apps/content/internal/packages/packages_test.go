package packages_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/content/internal/packages"
	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

func text(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"<p>Cells</p>", "<p>Q &amp; A &lt;1&gt;</p>", `<p>"quoted" <em>text</em></p>`, "<p>漢字 über</p>"}).Draw(t, label)
}

// question draws one of a kind; texts of choices differ, as a person's would.
func question(t *rapid.T, kind marking.Kind, n int) quiz.DocumentQuestion {
	d := marking.Definition{Kind: kind, Prompt: text(t, "prompt")}
	if rapid.Bool().Draw(t, "feedback") {
		d.GeneralFeedback = text(t, "general")
	}
	options := rapid.IntRange(2, 5).Draw(t, "options")
	switch kind {
	case marking.Single, marking.Multiple:
		right := rapid.IntRange(0, options-1).Draw(t, "right")
		for i := range options {
			c := marking.Choice{Text: fmt.Sprintf("<p>choice %d</p>", i), Correct: i == right}
			if rapid.Bool().Draw(t, "choice feedback") {
				c.Feedback = text(t, "choice")
			}
			if kind == marking.Multiple && rapid.Bool().Draw(t, "also right") {
				c.Correct = true
			}
			d.Choices = append(d.Choices, c)
		}
		if kind == marking.Multiple {
			d.Scoring = marking.AllOrNothing
		}
	case marking.TrueFalse:
		d.TrueFalse = &marking.Statement{Answer: rapid.Bool().Draw(t, "answer"), TrueFeedback: "<p>yes</p>"}
	case marking.Numeric:
		half := 50
		d.Numeric = []marking.NumericAnswer{{Value: "12.5", Tolerance: rapid.SampledFrom([]string{"", "0.5"}).Draw(t, "tolerance")}, {Value: "12", Credit: &half}}
	case marking.ShortText:
		d.ShortText = &marking.Phrases{Case: rapid.Bool().Draw(t, "case"), Accepted: []marking.Phrase{{Text: "Paris"}, {Text: "Paris & <co>"}}}
	case marking.Matching:
		d.Scoring = marking.Partial
		d.Matching = &marking.Pairing{}
		for i := range options {
			d.Matching.Pairs = append(d.Matching.Pairs, marking.Pair{Prompt: fmt.Sprintf("<p>prompt %d</p>", i), Match: fmt.Sprintf("<p>match %d</p>", i/2)})
		}
		d.Matching.Distractors = []marking.Item{{Text: "<p>none</p>"}}
	case marking.Ordering:
		d.Scoring = marking.AllOrNothing
		for i := range options {
			d.Ordering = append(d.Ordering, marking.Item{Text: fmt.Sprintf("<p>step %d</p>", i)})
		}
	case marking.Essay:
		d.Essay = &marking.Prose{}
	}
	return quiz.DocumentQuestion{ID: uuid.New(), Title: fmt.Sprintf("Question %d", n), ExternalID: fmt.Sprintf("q%d", n), Definition: d}
}

// document draws a quiz with a question of each kind and a draw from a bank.
func document(t *rapid.T) quiz.Document {
	d := quiz.NewDocument("Cells & genes")
	d.Instructions, d.Published = text(t, "instructions"), true
	limit, attempts := int64(rapid.IntRange(1, 100).Draw(t, "minutes"))*60, rapid.IntRange(1, 5).Draw(t, "attempts")
	d.TimeLimitSeconds, d.AttemptsAllowed = &limit, &attempts
	due := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	d.Due = &due
	own, drawn := quiz.DocumentBank{ID: uuid.New(), Title: "Own"}, quiz.DocumentBank{ID: uuid.New(), Title: "Drawn"}
	for n, kind := range marking.Kinds() {
		q := question(t, kind, n)
		own.Questions = append(own.Questions, q)
		d.Slots = append(d.Slots, quiz.DocumentSlot{QuestionID: &q.ID, Points: quiz.Points(rapid.IntRange(0, 500).Draw(t, "points"))})
	}
	for n := range 3 {
		drawn.Questions = append(drawn.Questions, question(t, marking.Single, 100+n))
	}
	pick := 2
	d.Slots = append(d.Slots, quiz.DocumentSlot{BankID: &drawn.ID, Pick: &pick, Points: 150})
	d.Banks = []quiz.DocumentBank{own, drawn}
	return d
}

func TestNothingIsLostOnTheWayOutAndInAgain(t *testing.T) {
	t.Parallel()
	for _, format := range []string{internalapi.PartCartridge, internalapi.PartOLX} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				in := document(t)
				raw, main, _, err := packages.WriteQuiz(in, format)
				require.NoError(t, err)
				out, left, err := packages.Quiz(format, raw, main, "another title")
				require.NoError(t, err)
				require.Empty(t, left)
				require.Equal(t, in, out)
			})
		})
	}
}

// without is the package as a product reads and writes it that knows nothing of
// ours.
func without(t require.TestingT, raw []byte, name string) []byte {
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	var buf bytes.Buffer
	out := zip.NewWriter(&buf)
	for _, f := range z.File {
		if f.Name != name {
			require.NoError(t, out.Copy(f))
		}
	}
	require.NoError(t, out.Close())
	return buf.Bytes()
}

// shape is what a foreign format keeps: kinds, texts, what is right, and points.
func shape(d quiz.Document) []string {
	questions, banks := map[uuid.UUID]quiz.DocumentQuestion{}, map[uuid.UUID]quiz.DocumentBank{}
	for _, b := range d.Banks {
		banks[b.ID] = b
		for _, q := range b.Questions {
			questions[q.ID] = q
		}
	}
	said := func(q quiz.DocumentQuestion) string {
		raw, _ := json.Marshal(q.Definition)
		return q.Title + " " + q.ExternalID + " " + string(raw)
	}
	var out []string
	for _, s := range d.Slots {
		if s.QuestionID != nil {
			out = append(out, s.Points.String()+" "+said(questions[*s.QuestionID]))
			continue
		}
		line := fmt.Sprintf("%s draw %d of %s:", s.Points, *s.Pick, banks[*s.BankID].Title)
		for _, q := range banks[*s.BankID].Questions {
			line += " " + said(q)
		}
		out = append(out, line)
	}
	return out
}

func TestTheQTIAloneSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := document(t)
		raw, main, left, err := packages.WriteQuiz(in, internalapi.PartCartridge)
		require.NoError(t, err)
		require.Empty(t, left)
		out, left, err := packages.Quiz(internalapi.PartCartridge, without(t, raw, "quiz.json"), main, "another title")
		require.NoError(t, err)
		require.Empty(t, left)
		require.Equal(t, shape(in), shape(out))
		require.Equal(t, in.Title, out.Title)
		require.Equal(t, in.TimeLimitSeconds, out.TimeLimitSeconds)
		require.Equal(t, in.AttemptsAllowed, out.AttemptsAllowed)
		require.Equal(t, in.Instructions, out.Instructions)
	})
}

func TestProblemsAloneSayWhatOLXHasWordsFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := document(t)
		raw, main, left, err := packages.WriteQuiz(in, internalapi.PartOLX)
		require.NoError(t, err)
		require.Len(t, left, 4, "matching, ordering, essay, and the draw")
		out, left, err := packages.Quiz(internalapi.PartOLX, without(t, raw, "quiz.json"), main, "A quiz")
		require.NoError(t, err)
		require.Empty(t, left)
		require.Len(t, out.Slots, 5)
		kinds := []marking.Kind{}
		for i, q := range out.Banks[0].Questions {
			kinds = append(kinds, q.Definition.Kind)
			require.Equal(t, "<div>"+html.UnescapeString(in.Banks[0].Questions[i].Definition.Prompt)+"</div>", html.UnescapeString(q.Definition.Prompt))
			require.Equal(t, in.Slots[i].Points, out.Slots[i].Points)
		}
		require.Equal(t, []marking.Kind{marking.Single, marking.Multiple, marking.Single, marking.Numeric, marking.ShortText}, kinds)
		for i, c := range out.Banks[0].Questions[0].Definition.Choices {
			require.Equal(t, in.Banks[0].Questions[0].Definition.Choices[i].Correct, c.Correct)
			require.Equal(t, in.Banks[0].Questions[0].Definition.Choices[i].Text, c.Text)
			require.Equal(t, html.UnescapeString(in.Banks[0].Questions[0].Definition.Choices[i].Feedback), html.UnescapeString(c.Feedback))
		}
	})
}

// canvas is a quiz as another product exports it.
const canvas = `<?xml version="1.0" encoding="UTF-8"?>
<questestinterop xmlns="http://www.imsglobal.org/xsd/ims_qtiasiv1p2"><assessment ident="g1" title="Chapter 1">
<qtimetadata><qtimetadatafield><fieldlabel>cc_maxattempts</fieldlabel><fieldentry>3</fieldentry></qtimetadatafield></qtimetadata>
<section ident="root_section">
 <item ident="a" title="Capital"><itemmetadata><qtimetadata>
   <qtimetadatafield><fieldlabel>question_type</fieldlabel><fieldentry>multiple_choice_question</fieldentry></qtimetadatafield>
   <qtimetadatafield><fieldlabel>points_possible</fieldlabel><fieldentry>2.5</fieldentry></qtimetadatafield></qtimetadata></itemmetadata>
  <presentation><material><mattext texttype="text/html">&lt;p&gt;Capital of France?&lt;/p&gt;</mattext></material>
   <response_lid ident="response1" rcardinality="Single"><render_choice>
    <response_label ident="1"><material><mattext texttype="text/plain">Rome &amp; co</mattext></material></response_label>
    <response_label ident="2"><material><mattext>Paris</mattext></material></response_label></render_choice></response_lid></presentation>
  <resprocessing><outcomes><decvar maxvalue="100" minvalue="0" varname="SCORE" vartype="Decimal"/></outcomes>
   <respcondition continue="No"><conditionvar><varequal respident="response1">2</varequal></conditionvar><setvar action="Set" varname="SCORE">100</setvar></respcondition></resprocessing>
 </item>
 <item ident="b" title="Which"><itemmetadata><qtimetadata><qtimetadatafield><fieldlabel>cc_profile</fieldlabel><fieldentry>cc.multiple_response.v0p1</fieldentry></qtimetadatafield></qtimetadata></itemmetadata>
  <presentation><material><mattext>Pick two</mattext></material><response_lid ident="r" rcardinality="Multiple"><render_choice>
    <response_label ident="x"><material><mattext>x</mattext></material></response_label><response_label ident="y"><material><mattext>y</mattext></material></response_label>
    <response_label ident="z"><material><mattext>z</mattext></material></response_label></render_choice></response_lid></presentation>
  <resprocessing><respcondition><conditionvar><and><varequal respident="r">x</varequal><varequal respident="r">z</varequal><not><varequal respident="r">y</varequal></not></and></conditionvar><setvar>100</setvar></respcondition></resprocessing></item>
 <item ident="c" title="Pattern"><itemmetadata><qtimetadata><qtimetadatafield><fieldlabel>cc_profile</fieldlabel><fieldentry>cc.pattern_match.v0p1</fieldentry></qtimetadatafield></qtimetadata></itemmetadata>
  <presentation><material><mattext>Say it</mattext></material><response_str ident="r"><render_fib/></response_str></presentation>
  <resprocessing><respcondition><conditionvar><varsubstring respident="r">mito</varsubstring></conditionvar><setvar>100</setvar></respcondition></resprocessing></item>
 <item ident="d" title="Calculated"><presentation><material><mattext>?</mattext></material></presentation></item>
 <item ident="e" title="Unsaid"><presentation><material><mattext>?</mattext></material><response_lid ident="r"><render_choice><response_label ident="1"/><response_label ident="2"/></render_choice></response_lid></presentation></item>
</section></assessment></questestinterop>`

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return buf.Bytes()
}

func TestAQuizOfAnotherProduct(t *testing.T) {
	t.Parallel()
	d, left, err := packages.Quiz(internalapi.PartCartridge, zipped(t, map[string]string{"a.xml": canvas}), "a.xml", "Untitled")
	require.NoError(t, err)
	require.Equal(t, "Chapter 1", d.Title)
	require.Equal(t, 3, *d.AttemptsAllowed)
	list := d.Banks[0].Questions
	require.Len(t, list, 3)
	require.Equal(t, "<p>Capital of France?</p>", list[0].Definition.Prompt)
	require.Equal(t, []marking.Choice{{Text: "Rome &amp; co"}, {Text: "Paris", Correct: true}}, list[0].Definition.Choices)
	require.Equal(t, quiz.Points(250), d.Slots[0].Points)
	require.Equal(t, []bool{true, false, true}, []bool{list[1].Definition.Choices[0].Correct, list[1].Definition.Choices[1].Correct, list[1].Definition.Choices[2].Correct})
	require.Equal(t, "*mito*", list[2].Definition.ShortText.Accepted[0].Text)
	require.True(t, list[2].Definition.ShortText.Wildcards)
	codes := map[string]string{}
	for _, l := range left {
		codes[l.Ref] = l.Code
	}
	require.Equal(t, map[string]string{"Calculated": "no_interaction", "Unsaid": "no_correct_response"}, codes)
}

func TestPackagesThatAreRefused(t *testing.T) {
	t.Parallel()
	entity := `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><questestinterop><assessment title="&x;"/></questestinterop>`
	deep := "<questestinterop>" + strings.Repeat("<section>", 300) + strings.Repeat("</section>", 300) + "</questestinterop>"
	for name, tc := range map[string]struct {
		raw  []byte
		code string
	}{
		"no zip":         {[]byte("nope"), "not_a_zip"},
		"nothing in it":  {zipped(t, nil), "unreadable"},
		"no QTI":         {zipped(t, map[string]string{"a.xml": "<html/>"}), "not_qti"},
		"entities":       {zipped(t, map[string]string{"a.xml": entity}), "not_qti"},
		"too deep":       {zipped(t, map[string]string{"a.xml": deep}), "not_qti"},
		"own, but wrong": {zipped(t, map[string]string{"quiz.json": "[]"}), "unreadable"},
		"a bomb":         {zipped(t, map[string]string{"a.xml": strings.Repeat(" ", 20<<20)}), "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := packages.Quiz(internalapi.PartCartridge, tc.raw, "a.xml", "Quiz")
			require.True(t, apperr.IsKind(err, apperr.KindInvalid), "%v", err)
			require.Equal(t, tc.code, apperr.From(err).Fields[0].Code)
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	raw, main, err := packages.WritePage("A & B", "<p>Hi &amp; ho</p>")
	require.NoError(t, err)
	text, err := packages.Page(raw, main)
	require.NoError(t, err)
	require.Equal(t, "<p>Hi &amp; ho</p>", text)
}
