package qti

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/contracts/events"
)

const spaceAssessment = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"

// profiles are the kinds that Common Cartridge knows; others are QTI 1.2 all the
// same, which not every product reads.
func profileOf(k marking.Kind) string {
	switch k {
	case marking.Single:
		return "cc.multiple_choice.v0p1"
	case marking.Multiple:
		return "cc.multiple_response.v0p1"
	case marking.TrueFalse:
		return "cc.true_false.v0p1"
	case marking.ShortText:
		return "cc.fib.v0p1"
	case marking.Essay:
		return "cc.essay.v0p1"
	case marking.Numeric, marking.Matching, marking.Ordering:
	}
	return ""
}

// WriteAssessment writes a quiz as QTI 1.2.
func WriteAssessment(d quiz.Document) ([]byte, error) {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	root := doc.CreateElement("questestinterop")
	root.CreateAttr("xmlns", spaceAssessment)
	test := root.CreateElement("assessment")
	test.CreateAttr("ident", "quiz")
	test.CreateAttr("title", d.Title)
	fields := map[string]string{"cc_profile": "cc.exam.v0p1", "qmd_assessmenttype": "Examination", "qmd_scoretype": "Percentage"}
	order := []string{"cc_profile", "qmd_assessmenttype", "qmd_scoretype"}
	if d.TimeLimitSeconds != nil {
		fields["qmd_timelimit"], order = strconv.FormatInt((*d.TimeLimitSeconds+59)/60, 10), append(order, "qmd_timelimit")
	}
	fields["cc_maxattempts"], order = "unlimited", append(order, "cc_maxattempts")
	if d.AttemptsAllowed != nil {
		fields["cc_maxattempts"] = strconv.Itoa(*d.AttemptsAllowed)
	}
	writeMetadata(test, fields, order)
	if d.Instructions != "" {
		writeMaterial(test.CreateElement("rubric"), d.Instructions)
	}
	banks, questions := map[string]quiz.DocumentBank{}, map[string]quiz.DocumentQuestion{}
	for _, b := range d.Banks {
		banks[b.ID.String()] = b
		for _, q := range b.Questions {
			questions[q.ID.String()] = q
		}
	}
	section := test.CreateElement("section")
	section.CreateAttr("ident", "root_section")
	for n, slot := range d.Slots {
		switch {
		case slot.QuestionID != nil:
			if q, ok := questions[slot.QuestionID.String()]; ok {
				if q.Pinned != nil {
					q.Definition = *q.Pinned
				}
				writeItem(section, q, slot.Points)
			}
		case slot.BankID != nil && slot.Pick != nil:
			b := banks[slot.BankID.String()]
			group := test.CreateElement("section")
			group.CreateAttr("ident", "draw_"+strconv.Itoa(n+1))
			group.CreateAttr("title", b.Title)
			selection := group.CreateElement("selection_ordering").CreateElement("selection")
			selection.CreateElement("selection_number").SetText(strconv.Itoa(*slot.Pick))
			selection.CreateElement("selection_extension").CreateElement("points_per_item").SetText(slot.Points.String())
			for _, q := range b.Questions {
				writeItem(group, q, slot.Points)
			}
		}
	}
	raw, err := doc.WriteToBytes()
	if err != nil {
		return nil, fmt.Errorf("qti: %w", err)
	}
	return raw, nil
}

func writeMetadata(e *etree.Element, fields map[string]string, order []string) {
	m := e.CreateElement("qtimetadata")
	for _, label := range order {
		f := m.CreateElement("qtimetadatafield")
		f.CreateElement("fieldlabel").SetText(label)
		f.CreateElement("fieldentry").SetText(fields[label])
	}
}

func writeMaterial(e *etree.Element, text string) {
	t := e.CreateElement("material").CreateElement("mattext")
	t.CreateAttr("texttype", "text/html")
	t.SetText(text)
}

// item writes one question.
type item struct {
	e            *etree.Element
	presentation *etree.Element
	processing   *etree.Element
	feedback     [][2]string // ident, text
}

func writeItem(parent *etree.Element, q quiz.DocumentQuestion, points events.Hundredths) {
	d := q.Definition
	e := parent.CreateElement("item")
	ident := q.ExternalID
	if ident == "" {
		ident = q.ID.String()
	}
	e.CreateAttr("ident", ident)
	e.CreateAttr("title", q.Title)
	fields, order := map[string]string{"cc_weighting": points.String()}, []string{"cc_weighting"}
	if p := profileOf(d.Kind); p != "" {
		fields["cc_profile"], order = p, append([]string{"cc_profile"}, order...)
	}
	writeMetadata(e.CreateElement("itemmetadata"), fields, order)
	x := item{e: e, presentation: e.CreateElement("presentation"), processing: e.CreateElement("resprocessing")}
	writeMaterial(x.presentation, d.Prompt)
	v := x.processing.CreateElement("outcomes").CreateElement("decvar")
	for _, a := range [][2]string{{"varname", "SCORE"}, {"vartype", "Decimal"}, {"minvalue", "0"}, {"maxvalue", "100"}} {
		v.CreateAttr(a[0], a[1])
	}
	if d.GeneralFeedback != "" {
		x.feedback = append(x.feedback, [2]string{"general_fb", d.GeneralFeedback})
	}
	x.kind(d)
	for _, f := range x.feedback {
		fb := e.CreateElement("itemfeedback")
		fb.CreateAttr("ident", f[0])
		writeMaterial(fb.CreateElement("flow_mat"), f[1])
	}
}

func (x *item) kind(d marking.Definition) {
	switch d.Kind {
	case marking.Single, marking.Multiple:
		x.choices(d)
	case marking.TrueFalse:
		render := x.lid("response1", "Single", "")
		x.label(render, "true", "True", d.TrueFalse.TrueFeedback)
		x.label(render, "false", "False", d.TrueFalse.FalseFeedback)
		equal(x.condition(100), "response1", strconv.FormatBool(d.TrueFalse.Answer))
	case marking.Numeric:
		x.fib("Decimal")
		for _, n := range d.Numeric {
			x.number(n)
		}
	case marking.ShortText:
		x.fib("String")
		for _, p := range d.ShortText.Accepted {
			v := equal(x.condition(credit(p.Credit)), "response1", p.Text)
			v.CreateAttr("case", map[bool]string{true: "Yes", false: "No"}[d.ShortText.Case])
		}
	case marking.Matching:
		x.pairs(*d.Matching)
	case marking.Ordering:
		render := x.lid("response1", "Ordered", "")
		c := x.condition(100).CreateElement("and")
		for i := range d.Ordering {
			v := equal(c, "response1", "i"+strconv.Itoa(i+1))
			v.CreateAttr("index", strconv.Itoa(i+1))
		}
		// Written out of order: the place in the file must not tell the answer.
		for i := len(d.Ordering) - 1; i >= 0; i-- {
			x.label(render, "i"+strconv.Itoa(i+1), d.Ordering[i].Text, "")
		}
	case marking.Essay:
		x.fib("String")
	}
}

func (x *item) lid(ident, cardinality, prompt string) *etree.Element {
	r := x.presentation.CreateElement("response_lid")
	r.CreateAttr("ident", ident)
	r.CreateAttr("rcardinality", cardinality)
	if prompt != "" {
		writeMaterial(r, prompt)
	}
	return r.CreateElement("render_choice")
}

func (x *item) label(render *etree.Element, ident, text, feedback string) {
	l := render.CreateElement("response_label")
	l.CreateAttr("ident", ident)
	writeMaterial(l, text)
	if feedback != "" {
		x.feedback = append(x.feedback, [2]string{ident + "_fb", feedback})
	}
}

func (x *item) fib(kind string) {
	r := x.presentation.CreateElement("response_str")
	r.CreateAttr("ident", "response1")
	r.CreateAttr("rcardinality", "Single")
	r.CreateElement("render_fib").CreateAttr("fibtype", kind)
}

// condition is a new one that gives so many percent.
func (x *item) condition(percent int) *etree.Element {
	c := x.processing.CreateElement("respcondition")
	c.CreateAttr("continue", "No")
	v := c.CreateElement("conditionvar")
	set := c.CreateElement("setvar")
	set.CreateAttr("varname", "SCORE")
	set.CreateAttr("action", "Set")
	set.SetText(strconv.Itoa(percent))
	return v
}

func equal(e *etree.Element, response, value string) *etree.Element {
	v := e.CreateElement("varequal")
	v.CreateAttr("respident", response)
	v.SetText(value)
	return v
}

func credit(c *int) int {
	if c == nil {
		return 100
	}
	return *c
}

func (x *item) choices(d marking.Definition) {
	cardinality := "Single"
	if d.Kind == marking.Multiple {
		cardinality = "Multiple"
	}
	render := x.lid("response1", cardinality, "")
	where := x.condition(100)
	if d.Kind == marking.Multiple {
		where = where.CreateElement("and")
	}
	for i, c := range d.Choices {
		ident := "c" + strconv.Itoa(i+1)
		x.label(render, ident, c.Text, c.Feedback)
		switch {
		case c.Correct:
			equal(where, "response1", ident)
		case d.Kind == marking.Multiple:
			equal(where.CreateElement("not"), "response1", ident)
		}
	}
}

// number is an answer with what may be off; a relative tolerance is only exact in
// the product's own document.
func (x *item) number(n marking.NumericAnswer) {
	c := x.condition(credit(n.Credit)).CreateElement("or")
	equal(c, "response1", n.Value)
	value, err := strconv.ParseFloat(n.Value, 64)
	off, errOff := strconv.ParseFloat(n.Tolerance, 64)
	if err != nil || errOff != nil || off == 0 {
		return
	}
	if n.Relative {
		off = off / 100 * max(value, -value)
	}
	both := c.CreateElement("and")
	for _, bound := range []struct {
		tag string
		at  float64
	}{{"vargte", value - off}, {"varlte", value + off}} {
		v := both.CreateElement(bound.tag)
		v.CreateAttr("respident", "response1")
		v.SetText(decimal(bound.at))
	}
}

// pairs writes a response for each prompt; all of them offer all options.
func (x *item) pairs(m marking.Pairing) {
	idents, texts := map[string]string{}, []string{}
	add := func(text string) {
		if idents[text] == "" {
			texts = append(texts, text)
			idents[text] = "o" + strconv.Itoa(len(texts))
		}
	}
	// Distractors first: the place in the file must not tell what is right.
	for _, it := range m.Distractors {
		add(it.Text)
	}
	for i := len(m.Pairs) - 1; i >= 0; i-- {
		add(m.Pairs[i].Match)
	}
	share := strconv.FormatFloat(100/float64(len(m.Pairs)), 'f', 2, 64)
	for i, p := range m.Pairs {
		ident := "response" + strconv.Itoa(i+1)
		render := x.lid(ident, "Single", p.Prompt)
		for _, text := range texts {
			x.label(render, idents[text], text, "")
		}
		c := x.processing.CreateElement("respcondition")
		equal(c.CreateElement("conditionvar"), ident, idents[p.Match])
		set := c.CreateElement("setvar")
		set.CreateAttr("varname", "SCORE")
		set.CreateAttr("action", "Add")
		set.SetText(strings.TrimSuffix(share, ".00"))
	}
}
