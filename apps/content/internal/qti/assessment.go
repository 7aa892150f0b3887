package qti

import (
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/beevik/etree"
	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/events"
)

// ReadAssessment reads a quiz from QTI 1.2 as Common Cartridges carry it: the kinds
// of its profile, and what products that write cartridges add to them (numbers,
// matching, draws from a group). What is not understood is told, item by item.
func ReadAssessment(raw []byte, title string) (quiz.Document, []quiz.Left, error) {
	root, err := archive.XML(raw)
	if err != nil || root.Tag != "questestinterop" {
		return quiz.Document{}, nil, apperr.Invalid(apperr.Field{Path: "package", Code: "not_qti", Message: "The quiz is not QTI 1.2 that can be read."})
	}
	test := child(root, "assessment")
	if test == nil {
		test = root // an object bank alone
	}
	if t := strings.TrimSpace(attr(test, "title")); t != "" {
		title = t
	}
	x := &assessment{doc: quiz.NewDocument(title)}
	x.doc.Published = true
	x.settings(test)
	bank := quiz.DocumentBank{ID: named("bank", attr(test, "ident")), Title: title}
	for _, e := range all(test, "section") {
		x.section(e, &bank)
	}
	for _, e := range children(test, "item") {
		x.pinned(e, &bank)
	}
	if len(bank.Questions) > 0 {
		x.doc.Banks = append(x.doc.Banks, bank)
	}
	return x.doc, x.left, nil
}

// assessment reads one quiz.
type assessment struct {
	doc  quiz.Document
	left []quiz.Left
}

// named is the id of something that a file calls by a name.
func named(kind, name string) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(kind+"/"+name)) }

// metadata is the fields of qtimetadata by label, in lower case.
func metadata(e *etree.Element) map[string]string {
	out := map[string]string{}
	for _, holder := range []*etree.Element{e, child(e, "itemmetadata")} {
		for _, m := range children(holder, "qtimetadata") {
			for _, f := range children(m, "qtimetadatafield") {
				label, entry := child(f, "fieldlabel"), child(f, "fieldentry")
				if label != nil && entry != nil {
					out[strings.ToLower(strings.TrimSpace(label.Text()))] = strings.TrimSpace(entry.Text())
				}
			}
		}
	}
	return out
}

func (x *assessment) settings(test *etree.Element) {
	m := metadata(test)
	if n, err := strconv.ParseInt(m["qmd_timelimit"], 10, 64); err == nil && n > 0 { // minutes
		seconds := n * 60
		x.doc.TimeLimitSeconds = &seconds
	}
	switch n, err := strconv.Atoi(m["cc_maxattempts"]); {
	case err == nil && n > 0:
		x.doc.AttemptsAllowed, x.doc.Unlimited = &n, false
	case strings.EqualFold(m["cc_maxattempts"], "unlimited"):
		x.doc.AttemptsAllowed, x.doc.Unlimited = nil, true
	}
	for _, e := range children(test, "rubric") {
		x.doc.Instructions += material(e)
	}
	if p := child(test, "presentation_material"); p != nil {
		x.doc.Instructions += material(p)
	}
}

// section reads the items that stand in a section itself. One that selects some of
// them is a draw from a bank of its own.
func (x *assessment) section(e *etree.Element, bank *quiz.DocumentBank) {
	items := children(e, "item")
	selection := child(child(e, "selection_ordering"), "selection")
	number := child(selection, "selection_number")
	if number == nil {
		for _, i := range items {
			x.pinned(i, bank)
		}
		return
	}
	pick, err := strconv.Atoi(strings.TrimSpace(number.Text()))
	if err != nil || pick < 1 {
		x.left = append(x.left, quiz.Left{Ref: attr(e, "title"), Code: "selection", Message: "A section that draws questions does not say how many."})
		return
	}
	if len(items) == 0 {
		x.left = append(x.left, quiz.Left{Ref: attr(e, "title"), Code: "no_items", Message: "A section draws from a bank that is not in the package."})
		return
	}
	name := attr(e, "title")
	if name == "" {
		name = x.doc.Title
	}
	drawn := quiz.DocumentBank{ID: named("section", attr(e, "ident")), Title: name}
	points := events.Hundredths(100)
	for _, i := range items {
		if q, worth, ok := x.item(i); ok {
			drawn.Questions = append(drawn.Questions, q)
			points = worth
		}
	}
	if p := child(child(selection, "selection_extension"), "points_per_item"); p != nil {
		points = worthOf(p.Text(), points)
	}
	if len(drawn.Questions) == 0 {
		return
	}
	pick = min(pick, len(drawn.Questions))
	x.doc.Banks = append(x.doc.Banks, drawn)
	x.doc.Slots = append(x.doc.Slots, quiz.DocumentSlot{BankID: &drawn.ID, Pick: &pick, Points: points})
}

func (x *assessment) pinned(e *etree.Element, bank *quiz.DocumentBank) {
	q, points, ok := x.item(e)
	if !ok || slices.ContainsFunc(bank.Questions, func(have quiz.DocumentQuestion) bool { return have.ID == q.ID }) {
		return
	}
	bank.Questions = append(bank.Questions, q)
	x.doc.Slots = append(x.doc.Slots, quiz.DocumentSlot{QuestionID: &q.ID, Points: points})
}

func worthOf(text string, otherwise events.Hundredths) events.Hundredths {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || v < 0 || v > 1_000_000 {
		return otherwise
	}
	return events.Hundredths(v*100 + 0.5)
}

func (x *assessment) item(e *etree.Element) (quiz.DocumentQuestion, events.Hundredths, bool) {
	r := &response{item: e, meta: metadata(e)}
	points := events.Hundredths(100)
	for _, label := range []string{"cc_weighting", "points_possible", "qmd_weighting"} {
		if r.meta[label] != "" {
			points = worthOf(r.meta[label], points)
			break
		}
	}
	title := strings.Join(strings.Fields(attr(e, "title")), " ")
	if title == "" {
		title = "Question " + strconv.Itoa(len(x.doc.Slots)+1)
	}
	d, no := r.definition()
	if no != nil {
		x.left = append(x.left, quiz.Left{Ref: title, Code: no.code, Message: no.message})
		return quiz.DocumentQuestion{}, 0, false
	}
	for _, code := range r.notes {
		x.left = append(x.left, quiz.Left{Ref: title, Code: code.Code, Message: code.Message})
	}
	ident := attr(e, "ident")
	if ident == "" {
		ident = title
	}
	q := quiz.DocumentQuestion{ID: named("item", ident), Title: cutTitle(title), Definition: d}
	if len(ident) <= 255 {
		q.ExternalID = ident
	}
	return q, points, true
}

func cutTitle(t string) string {
	if r := []rune(t); len(r) > quiz.MaxTitle {
		return string(r[:quiz.MaxTitle])
	}
	return t
}

// material is the HTML of a material: what is not said to be HTML is plain text.
func material(e *etree.Element) string {
	var out []string
	for _, m := range append(children(e, "material"), children(child(e, "flow_mat"), "material")...) {
		for _, t := range children(m, "mattext") {
			text := strings.TrimSpace(t.Text())
			if kind := attr(t, "texttype"); kind != "text/html" && kind != "text/xhtml" {
				text = strings.ReplaceAll(html.EscapeString(text), "\n", "<br>")
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}

// condition is one respcondition: what must be answered, and what it gives.
type condition struct {
	equals   []varequal
	negated  []varequal
	gte, lte string
	score    float64
	scored   bool
}

type varequal struct {
	respident, value string
	caseSensitive    bool
	substring        bool
}

// response reads what one item asks and what is right.
type response struct {
	item  *etree.Element
	meta  map[string]string
	notes []Note
}

func (r *response) conditions() []condition {
	var out []condition
	for _, e := range children(child(r.item, "resprocessing"), "respcondition") {
		var c condition
		collect(child(e, "conditionvar"), false, &c)
		for _, s := range children(e, "setvar") {
			if v, err := strconv.ParseFloat(strings.TrimSpace(s.Text()), 64); err == nil {
				c.score, c.scored = v, true
			}
		}
		out = append(out, c)
	}
	return out
}

func collect(e *etree.Element, not bool, c *condition) {
	if e == nil {
		return
	}
	for _, v := range e.ChildElements() {
		switch v.Tag {
		case "and", "or":
			collect(v, not, c)
		case "not":
			collect(v, !not, c)
		case "varequal", "varsubstring":
			x := varequal{attr(v, "respident"), strings.TrimSpace(v.Text()), strings.EqualFold(attr(v, "case"), "yes"), v.Tag == "varsubstring"}
			if not {
				c.negated = append(c.negated, x)
			} else {
				c.equals = append(c.equals, x)
			}
		case "vargte", "vargt":
			c.gte = strings.TrimSpace(v.Text())
		case "varlte", "varlt":
			c.lte = strings.TrimSpace(v.Text())
		}
	}
}

// right are the conditions that give something.
func (r *response) right() []condition {
	var out []condition
	for _, c := range r.conditions() {
		if c.scored && c.score > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (r *response) definition() (marking.Definition, *refusal) {
	p := child(r.item, "presentation")
	if p == nil {
		return marking.Definition{}, &refusal{"no_presentation", "The item asks nothing."}
	}
	if f := child(p, "flow"); f != nil && len(children(p, "material")) == 0 {
		p = f
	}
	lids, strs := all(p, "response_lid"), append(all(p, "response_str"), all(p, "response_num")...)
	var d marking.Definition
	var no *refusal
	switch {
	case len(lids) > 1:
		d, no = r.matching(lids)
	case len(lids) == 1 && strings.EqualFold(attr(lids[0], "rcardinality"), "ordered"):
		d, no = r.ordering(lids[0])
	case len(lids) == 1:
		d, no = r.choices(lids[0])
	case len(strs) == 1:
		d, no = r.text(strs[0])
	case len(strs) > 1:
		no = &refusal{"composite", "Items with several gaps are not understood."}
	default:
		no = &refusal{"no_interaction", "The item asks nothing that is understood."}
	}
	if no != nil {
		return marking.Definition{}, no
	}
	if d.Prompt = material(p); d.Prompt == "" {
		d.Prompt = "<p></p>"
	}
	d.GeneralFeedback = r.feedback("general_fb")
	if strings.Contains(d.Prompt, "IMS-CC-FILEBASE") || strings.Contains(d.Prompt, "IMS_CC_FILEBASE") {
		r.notes = append(r.notes, Note{"media", "A picture or recording of the package was left out."})
	}
	return d, nil
}

func (r *response) feedback(ident string) string {
	for _, f := range children(r.item, "itemfeedback") {
		if attr(f, "ident") == ident {
			return material(f)
		}
	}
	return ""
}

// labels are the choices of a response_lid.
func labels(lid *etree.Element) []*etree.Element { return all(lid, "response_label") }

func (r *response) choices(lid *etree.Element) (marking.Definition, *refusal) {
	multiple := strings.EqualFold(attr(lid, "rcardinality"), "multiple")
	right := map[string]bool{}
	for _, c := range r.right() {
		for _, e := range c.equals {
			right[e.value] = true
		}
		if !multiple {
			break // the first that gives something
		}
	}
	if len(right) == 0 {
		return marking.Definition{}, &refusal{"no_correct_response", "The item does not say what is right."}
	}
	list := labels(lid)
	profile := r.meta["cc_profile"]
	if strings.HasPrefix(profile, "cc.true_false") || r.meta["question_type"] == "true_false_question" {
		return r.trueFalse(list, right)
	}
	d := marking.Definition{Kind: marking.Single}
	if multiple {
		d.Kind, d.Scoring = marking.Multiple, marking.AllOrNothing
	}
	for _, l := range list {
		id := attr(l, "ident")
		d.Choices = append(d.Choices, marking.Choice{Text: material(l), Correct: right[id], Feedback: r.feedback(id + "_fb")})
	}
	if len(d.Choices) < 2 {
		return marking.Definition{}, &refusal{"too_few_choices", "The item has less than two choices."}
	}
	return d, nil
}

func (r *response) trueFalse(list []*etree.Element, right map[string]bool) (marking.Definition, *refusal) {
	s := &marking.Statement{}
	for _, l := range list {
		id := attr(l, "ident")
		isTrue := strings.EqualFold(id, "true") || strings.EqualFold(strings.TrimSpace(html.UnescapeString(material(l))), "true")
		if isTrue {
			s.Answer, s.TrueFeedback = right[id], r.feedback(id+"_fb")
		} else {
			s.FalseFeedback = r.feedback(id + "_fb")
		}
	}
	return marking.Definition{Kind: marking.TrueFalse, TrueFalse: s}, nil
}

func (r *response) ordering(lid *etree.Element) (marking.Definition, *refusal) {
	texts := map[string]string{}
	for _, l := range labels(lid) {
		texts[attr(l, "ident")] = material(l)
	}
	d := marking.Definition{Kind: marking.Ordering, Scoring: marking.AllOrNothing}
	for _, c := range r.right() {
		for _, e := range c.equals {
			if text, ok := texts[e.value]; ok {
				d.Ordering = append(d.Ordering, marking.Item{Text: text})
				delete(texts, e.value)
			}
		}
	}
	if len(texts) > 0 || len(d.Ordering) < 2 {
		return marking.Definition{}, &refusal{"no_correct_response", "The right order is not complete."}
	}
	return d, nil
}

// matching is several responses, each with a prompt of its own.
func (r *response) matching(lids []*etree.Element) (marking.Definition, *refusal) {
	right := map[string]string{}
	for _, c := range r.right() {
		for _, e := range c.equals {
			right[e.respident] = e.value
		}
	}
	m := &marking.Pairing{}
	options, order, used := map[string]string{}, []string{}, map[string]bool{}
	for _, lid := range lids {
		for _, l := range labels(lid) {
			id := attr(l, "ident")
			if _, known := options[id]; !known {
				order = append(order, id)
			}
			options[id] = material(l)
		}
		text, ok := options[right[attr(lid, "ident")]]
		if !ok {
			return marking.Definition{}, &refusal{"no_correct_response", "A prompt has no partner."}
		}
		used[text] = true
		m.Pairs = append(m.Pairs, marking.Pair{Prompt: material(lid), Match: text})
	}
	for _, id := range order {
		if text := options[id]; !used[text] {
			used[text] = true
			m.Distractors = append(m.Distractors, marking.Item{Text: text})
		}
	}
	return marking.Definition{Kind: marking.Matching, Scoring: marking.Partial, Matching: m}, nil
}

func (r *response) text(str *etree.Element) (marking.Definition, *refusal) {
	right := r.right()
	if strings.HasPrefix(r.meta["cc_profile"], "cc.essay") || r.meta["question_type"] == "essay_question" || len(right) == 0 {
		return marking.Definition{Kind: marking.Essay, Essay: &marking.Prose{}}, nil
	}
	most := 0.0
	for _, c := range right {
		most = max(most, c.score)
	}
	fib := ""
	if f := child(str, "render_fib"); f != nil {
		fib = strings.ToLower(attr(f, "fibtype"))
	}
	if fib == "decimal" || fib == "integer" || str.Tag == "response_num" || r.meta["question_type"] == "numerical_question" {
		return numbers(right, most)
	}
	s := &marking.Phrases{}
	for _, c := range right {
		for _, e := range c.equals {
			p := marking.Phrase{Text: e.value}
			if credit := int(100*c.score/most + 0.5); credit != 100 {
				p.Credit = &credit
			}
			if e.substring {
				p.Text, s.Wildcards = "*"+strings.ReplaceAll(e.value, "*", `\*`)+"*", true
			}
			s.Case = s.Case || e.caseSensitive
			s.Accepted = append(s.Accepted, p)
		}
	}
	if len(s.Accepted) == 0 {
		return marking.Definition{}, &refusal{"no_correct_response", "The item does not say what is right."}
	}
	return marking.Definition{Kind: marking.ShortText, ShortText: s}, nil
}

func numbers(right []condition, most float64) (marking.Definition, *refusal) {
	d := marking.Definition{Kind: marking.Numeric}
	for _, c := range right {
		n := marking.NumericAnswer{}
		low, errLow := strconv.ParseFloat(c.gte, 64)
		high, errHigh := strconv.ParseFloat(c.lte, 64)
		if len(c.equals) > 0 {
			n.Value = c.equals[0].value
		} else if errLow == nil && errHigh == nil {
			n.Value = decimal((low + high) / 2)
		}
		if errLow == nil && errHigh == nil && high > low {
			n.Tolerance = decimal((high - low) / 2)
		}
		if credit := int(100*c.score/most + 0.5); credit != 100 {
			n.Credit = &credit
		}
		if n.Value != "" {
			d.Numeric = append(d.Numeric, n)
		}
	}
	if len(d.Numeric) == 0 {
		return marking.Definition{}, &refusal{"no_correct_response", "The item does not say what is right."}
	}
	return d, nil
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', 12, 64) }
