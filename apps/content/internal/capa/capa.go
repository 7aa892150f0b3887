// Package capa reads and writes quizzes as OLX has them: problems, each a file of
// its own. Kinds of which OLX has no problem are not written.
package capa

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/beevik/etree"
	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/archive"
	"lms/shared/contracts/events"
)

// Read makes one quiz of problems in their order. What is not understood is told,
// problem by problem.
func Read(problems [][]byte, title string) (quiz.Document, []quiz.Left) {
	d := quiz.NewDocument(title)
	d.Published = true
	bank := quiz.DocumentBank{ID: uuid.NewSHA1(uuid.Nil, []byte("capa")), Title: title}
	var left []quiz.Left
	for n, raw := range problems {
		root, err := archive.XML(raw)
		ref := "Problem " + strconv.Itoa(n+1)
		if err != nil || root.Tag != "problem" {
			left = append(left, quiz.Left{Ref: ref, Code: "unreadable", Message: "The problem is not XML that can be read."})
			continue
		}
		if name := root.SelectAttrValue("display_name", ""); name != "" {
			ref = name
		}
		x := reader{}
		definition, code := x.problem(root)
		if code != "" {
			left = append(left, quiz.Left{Ref: ref, Code: code, Message: reasons[code]})
			continue
		}
		name := root.SelectAttrValue("url_name", strconv.Itoa(n+1))
		q := quiz.DocumentQuestion{ID: uuid.NewSHA1(bank.ID, []byte(name+"/"+strconv.Itoa(n))), Title: cut(ref), Definition: definition}
		if len(name) <= 200 {
			q.ExternalID = name
		}
		bank.Questions = append(bank.Questions, q)
		d.Slots = append(d.Slots, quiz.DocumentSlot{QuestionID: &q.ID, Points: weight(root)})
		attempts(root, &d)
	}
	unique(bank.Questions)
	if len(bank.Questions) > 0 {
		d.Banks = append(d.Banks, bank)
	}
	return d, left
}

// unique drops external ids that several problems have.
func unique(list []quiz.DocumentQuestion) {
	seen := map[string]bool{}
	for i := range list {
		if seen[list[i].ExternalID] {
			list[i].ExternalID = ""
		}
		seen[list[i].ExternalID] = true
	}
}

var reasons = map[string]string{ //nolint:gochecknoglobals // constant
	"no_response":         "The problem asks nothing that is understood.",
	"composite":           "Problems that ask several things are not understood.",
	"script":              "Problems with a program in them are not understood.",
	"no_correct_response": "The problem does not say what is right.",
}

func cut(title string) string {
	if r := []rune(title); len(r) > quiz.MaxTitle {
		return string(r[:quiz.MaxTitle])
	}
	return title
}

func weight(e *etree.Element) events.Hundredths {
	v, err := strconv.ParseFloat(e.SelectAttrValue("weight", "1"), 64)
	if err != nil || v < 0 || v > 1_000_000 {
		return 100
	}
	return events.Hundredths(v*100 + 0.5)
}

// attempts of the quiz are the most that one of its problems allows.
func attempts(e *etree.Element, d *quiz.Document) {
	n, err := strconv.Atoi(e.SelectAttrValue("max_attempts", ""))
	switch {
	case err != nil || n < 1:
		d.AttemptsAllowed, d.Unlimited = nil, true
	case !d.Unlimited && n > *d.AttemptsAllowed:
		d.AttemptsAllowed = &n
	}
}

// reader reads one problem.
type reader struct{ response *etree.Element }

func (x *reader) problem(root *etree.Element) (marking.Definition, string) {
	if root.FindElement(".//script") != nil || root.FindElement(".//customresponse") != nil {
		return marking.Definition{}, "script"
	}
	var found []*etree.Element
	for _, e := range root.FindElements(".//*") {
		if strings.HasSuffix(e.Tag, "response") {
			found = append(found, e)
		}
	}
	if len(found) > 1 {
		return marking.Definition{}, "composite"
	}
	if len(found) == 0 {
		return marking.Definition{}, "no_response"
	}
	x.response = found[0]
	d, code := x.kind()
	if code != "" {
		return marking.Definition{}, code
	}
	d.Prompt = x.prompt(root)
	if s := root.FindElement(".//solution"); s != nil {
		d.GeneralFeedback = inner(s)
	}
	return d, ""
}

func (x *reader) kind() (marking.Definition, string) {
	r := x.response
	switch r.Tag {
	case "multiplechoiceresponse", "choiceresponse":
		return x.choices()
	case "optionresponse":
		return x.options()
	case "stringresponse":
		return x.phrases()
	case "numericalresponse":
		n := marking.NumericAnswer{Value: strings.TrimSpace(r.SelectAttrValue("answer", ""))}
		if n.Value == "" {
			return marking.Definition{}, "no_correct_response"
		}
		if p := r.FindElement("responseparam[@type='tolerance']"); p != nil {
			n.Tolerance, n.Relative = strings.CutSuffix(strings.TrimSpace(p.SelectAttrValue("default", "")), "%")
		}
		return marking.Definition{Kind: marking.Numeric, Numeric: []marking.NumericAnswer{n}}, ""
	}
	return marking.Definition{}, "no_response"
}

func (x *reader) choices() (marking.Definition, string) {
	d, right := marking.Definition{Kind: marking.Single}, 0
	if x.response.Tag == "choiceresponse" {
		d.Kind, d.Scoring = marking.Multiple, marking.AllOrNothing
	}
	for _, c := range x.response.FindElements(".//choice") {
		choice := marking.Choice{Correct: c.SelectAttrValue("correct", "") == "true"}
		for _, h := range c.FindElements("choicehint") {
			if s := h.SelectAttrValue("selected", "true"); s == "true" {
				choice.Feedback = inner(h)
			}
			c.RemoveChild(h)
		}
		if choice.Text = inner(c); choice.Correct {
			right++
		}
		d.Choices = append(d.Choices, choice)
	}
	if right == 0 || d.Kind == marking.Single && right != 1 {
		return d, "no_correct_response"
	}
	return d, ""
}

func (x *reader) options() (marking.Definition, string) {
	d, right := marking.Definition{Kind: marking.Single}, 0
	in := x.response.FindElement(".//optioninput")
	if in == nil {
		return d, "no_response"
	}
	add := func(text string, correct bool) {
		if correct {
			right++
		}
		d.Choices = append(d.Choices, marking.Choice{Text: text, Correct: correct})
	}
	for _, o := range in.FindElements("option") {
		add(inner(o), strings.EqualFold(o.SelectAttrValue("correct", ""), "true"))
	}
	// The older way: options="('a','b')" correct="a".
	if list := strings.Trim(in.SelectAttrValue("options", ""), "() "); list != "" && len(d.Choices) == 0 {
		for _, o := range strings.Split(list, ",") {
			text := strings.Trim(strings.TrimSpace(o), `'"`)
			add(text, text == in.SelectAttrValue("correct", ""))
		}
	}
	if right != 1 {
		return d, "no_correct_response"
	}
	return d, ""
}

func (x *reader) phrases() (marking.Definition, string) {
	r := x.response
	s := &marking.Phrases{Case: !strings.Contains(r.SelectAttrValue("type", ""), "ci")}
	if strings.Contains(r.SelectAttrValue("type", ""), "regexp") {
		return marking.Definition{}, "no_response"
	}
	for _, text := range append([]string{r.SelectAttrValue("answer", "")}, additional(r)...) {
		if strings.TrimSpace(text) != "" {
			s.Accepted = append(s.Accepted, marking.Phrase{Text: text})
		}
	}
	if len(s.Accepted) == 0 {
		return marking.Definition{}, "no_correct_response"
	}
	return marking.Definition{Kind: marking.ShortText, ShortText: s}, ""
}

func additional(r *etree.Element) []string {
	var out []string
	for _, a := range r.FindElements("additional_answer") {
		out = append(out, a.SelectAttrValue("answer", a.Text()))
	}
	return out
}

// prompt is what stands outside of the response, and the label inside of it.
func (x *reader) prompt(root *etree.Element) string {
	label := ""
	for _, tag := range []string{"label", "description"} {
		for _, e := range x.response.FindElements(tag) {
			label += "<p>" + inner(e) + "</p>"
		}
	}
	copied := root.Copy()
	for _, e := range copied.FindElements(".//*") {
		if strings.HasSuffix(e.Tag, "response") || e.Tag == "solution" || e.Tag == "demandhint" {
			e.Parent().RemoveChild(e)
		}
	}
	return strings.TrimSpace(inner(copied) + label)
}

// inner is what an element holds, as text.
func inner(e *etree.Element) string {
	var b strings.Builder
	for _, t := range e.Child {
		switch c := t.(type) {
		case *etree.CharData:
			b.WriteString(escaped(c.Data))
		case *etree.Element:
			doc := etree.NewDocument()
			doc.SetRoot(c.Copy())
			if s, err := doc.WriteToString(); err == nil {
				b.WriteString(s)
			}
		}
	}
	return strings.TrimSpace(b.String())
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// Write writes the questions of a quiz as problems. Those that it has no words for,
// and draws from banks, are told and stay in the product's own document.
func Write(d quiz.Document) ([][]byte, []quiz.Left, error) {
	var out [][]byte
	var left []quiz.Left
	questions := map[uuid.UUID]quiz.DocumentQuestion{}
	for _, b := range d.Banks {
		for _, q := range b.Questions {
			questions[q.ID] = q
		}
	}
	for _, slot := range d.Slots {
		if slot.QuestionID == nil {
			left = append(left, quiz.Left{Ref: d.Title, Code: "draw", Message: "OLX has no words for questions that are drawn: only this product reads them back."})
			continue
		}
		q := questions[*slot.QuestionID]
		if q.Pinned != nil {
			q.Definition = *q.Pinned
		}
		e := write(q, slot.Points, d.AttemptsAllowed)
		if e == nil {
			left = append(left, quiz.Left{Ref: q.Title, Code: "kind", Message: "OLX has no words for a question of this kind: only this product reads it back."})
			continue
		}
		doc := etree.NewDocument()
		doc.SetRoot(e)
		raw, err := doc.WriteToBytes()
		if err != nil {
			return nil, nil, fmt.Errorf("capa: %w", err)
		}
		out = append(out, raw)
	}
	return out, left, nil
}

func write(q quiz.DocumentQuestion, points events.Hundredths, allowed *int) *etree.Element {
	e := etree.NewElement("problem")
	e.CreateAttr("display_name", q.Title)
	e.CreateAttr("weight", points.String())
	if allowed != nil {
		e.CreateAttr("max_attempts", strconv.Itoa(*allowed))
	}
	d := q.Definition
	markup(e.CreateElement("div"), d.Prompt)
	switch d.Kind {
	case marking.Single, marking.Multiple:
		tag, group := "multiplechoiceresponse", "choicegroup"
		if d.Kind == marking.Multiple {
			tag, group = "choiceresponse", "checkboxgroup"
		}
		g := e.CreateElement(tag).CreateElement(group)
		for _, c := range d.Choices {
			choice(g, c.Text, c.Correct, c.Feedback)
		}
	case marking.TrueFalse:
		g := e.CreateElement("multiplechoiceresponse").CreateElement("choicegroup")
		choice(g, "True", d.TrueFalse.Answer, d.TrueFalse.TrueFeedback)
		choice(g, "False", !d.TrueFalse.Answer, d.TrueFalse.FalseFeedback)
	case marking.Numeric:
		r := e.CreateElement("numericalresponse")
		r.CreateAttr("answer", d.Numeric[0].Value)
		if t := d.Numeric[0].Tolerance; t != "" {
			p := r.CreateElement("responseparam")
			p.CreateAttr("type", "tolerance")
			if d.Numeric[0].Relative {
				t += "%"
			}
			p.CreateAttr("default", t)
		}
		r.CreateElement("formulaequationinput")
	case marking.ShortText:
		r := e.CreateElement("stringresponse")
		r.CreateAttr("answer", d.ShortText.Accepted[0].Text)
		if !d.ShortText.Case {
			r.CreateAttr("type", "ci")
		}
		for _, p := range d.ShortText.Accepted[1:] {
			r.CreateElement("additional_answer").CreateAttr("answer", p.Text)
		}
		r.CreateElement("textline").CreateAttr("size", "20")
	case marking.Matching, marking.Ordering, marking.Essay:
		return nil
	default:
		return nil
	}
	if d.GeneralFeedback != "" {
		markup(e.CreateElement("solution"), d.GeneralFeedback)
	}
	return e
}

func choice(g *etree.Element, text string, correct bool, feedback string) {
	c := g.CreateElement("choice")
	c.CreateAttr("correct", strconv.FormatBool(correct))
	markup(c, text)
	if feedback != "" {
		markup(c.CreateElement("choicehint"), feedback)
	}
}

// markup puts HTML into an element: as elements where it is well-formed, else as
// text.
func markup(e *etree.Element, text string) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString("<x>" + text + "</x>"); err != nil || doc.Root() == nil {
		e.CreateText(text)
		return
	}
	for _, t := range append([]etree.Token{}, doc.Root().Child...) {
		e.AddChild(t)
	}
}
