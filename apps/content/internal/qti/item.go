package qti

import (
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/beevik/etree"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/archive"
)

// reader reads one item.
type reader struct {
	root         *etree.Element
	body         *etree.Element
	declarations map[string]declaration
	notes        []Note
}

// declaration is what an item says of a response.
type declaration struct {
	cardinality, baseType string
	correct               []string
	mapping               []mapEntry
}

type mapEntry struct {
	key, value    string
	caseSensitive bool
}

// refusal says why an item is no question.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code }

func refuse(code, message string) error { return &refusal{code, message} }

// ReadItem reads one item.
func ReadItem(ref string, raw []byte) Item {
	root, err := archive.XML(raw)
	switch {
	case errors.Is(err, archive.ErrEntities):
		return Item{Ref: ref, Code: "entities_refused", Message: "The item declares XML entities."}
	case err != nil:
		return Item{Ref: ref, Code: "unreadable", Message: "The item is not well-formed XML, or nested too deep."}
	case name(root) != "assessmentItem":
		return Item{Ref: ref, Code: "not_an_item", Message: "The file is not a QTI item."}
	}
	x := &reader{root: root, body: child(root, "itemBody"), declarations: map[string]declaration{}}
	q, err := x.question(ref)
	var no *refusal
	if errors.As(err, &no) {
		return Item{Ref: ref, Code: no.code, Message: no.message}
	}
	if err != nil {
		return Item{Ref: ref, Code: "unreadable", Message: "The item cannot be read."}
	}
	return Item{Ref: ref, Question: q, Notes: x.notes}
}

func (x *reader) note(code, message string) { x.notes = append(x.notes, Note{code, message}) }

// interactions that are understood, each with its reader.
func (x *reader) readers() map[string]func(*etree.Element, declaration) (marking.Definition, error) {
	return map[string]func(*etree.Element, declaration) (marking.Definition, error){
		"choiceInteraction": x.choice, "inlineChoiceInteraction": x.choice, "orderInteraction": x.order,
		"textEntryInteraction": x.textEntry, "extendedTextInteraction": x.essay, "matchInteraction": x.match,
	}
}

func (x *reader) question(ref string) (*quiz.NewQuestion, error) {
	switch {
	case x.body == nil:
		return nil, refuse("no_body", "The item has no body.")
	case attr(x.root, "adaptive") == "true":
		return nil, refuse("adaptive", "Adaptive items are not understood.")
	case len(children(x.root, "templateDeclaration")) > 0:
		return nil, refuse("template", "Items made from templates are not understood.")
	}
	for _, d := range children(x.root, "responseDeclaration") {
		x.declarations[attr(d, "identifier")] = declared(d)
	}
	found := x.interactions(x.body)
	switch len(found) {
	case 0:
		return nil, refuse("no_interaction", "The item asks nothing.")
	case 1:
	default:
		return nil, refuse("composite", "Items with several interactions are not understood.")
	}
	read, ok := x.readers()[name(found[0])]
	if !ok {
		return nil, refuse("unsupported_interaction", "The interaction "+name(found[0])+" is not understood.")
	}
	d, err := read(found[0], x.declarations[attr(found[0], "responseIdentifier")])
	if err != nil {
		return nil, err
	}
	d.Prompt = x.prompt(found[0])
	x.feedback(&d, found[0])
	x.processing(d.Kind)
	q := &quiz.NewQuestion{Title: x.title(ref), ExternalID: attr(x.root, "identifier"), Definition: d}
	if q.ExternalID == "" {
		q.ExternalID = ref
	}
	if len(q.ExternalID) > 255 {
		return nil, refuse("bad_identifier", "The identifier is too long.")
	}
	return q, nil
}

func (x *reader) title(ref string) string {
	for _, t := range []string{attr(x.root, "title"), attr(x.root, "label"), attr(x.root, "identifier"), ref} {
		if t = strings.Join(strings.Fields(t), " "); t != "" {
			if utf8.RuneCountInString(t) > quiz.MaxTitle {
				t = string([]rune(t)[:quiz.MaxTitle])
			}
			return t
		}
	}
	return "Question"
}

func declared(e *etree.Element) declaration {
	d := declaration{cardinality: attr(e, "cardinality"), baseType: attr(e, "baseType")}
	for _, v := range children(child(e, "correctResponse"), "value") {
		d.correct = append(d.correct, strings.TrimSpace(v.Text()))
	}
	for _, m := range children(child(e, "mapping"), "mapEntry") {
		d.mapping = append(d.mapping, mapEntry{attr(m, "mapKey"), attr(m, "mappedValue"), attr(m, "caseSensitive") == "true"})
	}
	return d
}

// interactions are all elements that are an interaction, understood or not.
func (x *reader) interactions(e *etree.Element) []*etree.Element {
	var out []*etree.Element
	for _, c := range e.ChildElements() {
		if strings.HasSuffix(name(c), "Interaction") && name(c) != "endAttemptInteraction" {
			out = append(out, c)
			continue
		}
		out = append(out, x.interactions(c)...)
	}
	return out
}

// right are the keys that are correct: as said, or else those that earn something.
func (d declaration) right() []string {
	if len(d.correct) > 0 {
		return d.correct
	}
	var out []string
	for _, m := range d.mapping {
		if !strings.HasPrefix(m.value, "-") && strings.Trim(m.value, "0.") != "" {
			out = append(out, m.key)
		}
	}
	return out
}

func (x *reader) choice(e *etree.Element, d declaration) (marking.Definition, error) {
	right := d.right()
	if len(right) == 0 {
		return marking.Definition{}, refuse("no_correct_response", "The item does not say what is right.")
	}
	out := marking.Definition{Kind: marking.Single}
	if len(right) > 1 || d.cardinality == "multiple" {
		out.Kind, out.Scoring = marking.Multiple, marking.AllOrNothing
		if len(d.mapping) > 0 {
			out.Scoring = marking.Partial
			x.unevenMapping(d)
		}
	}
	tag := "simpleChoice"
	if name(e) == "inlineChoiceInteraction" {
		tag = "inlineChoice"
	}
	for _, c := range children(e, tag) {
		id := attr(c, "identifier")
		var feedback []string
		for _, f := range all(c, "feedbackInline") {
			feedback = append(feedback, x.inner(f))
		}
		for _, f := range children(x.root, "modalFeedback") {
			if attr(f, "identifier") == id {
				feedback = append(feedback, x.inner(f))
			}
		}
		out.Choices = append(out.Choices, marking.Choice{Text: x.inner(c), Correct: slices.Contains(right, id), Feedback: strings.Join(feedback, " ")})
	}
	if len(out.Choices) < 2 {
		return marking.Definition{}, refuse("too_few_choices", "The item has less than two choices.")
	}
	return out, nil
}

// unevenMapping notes points that right minus wrong cannot express.
func (x *reader) unevenMapping(d declaration) {
	values := map[string]bool{}
	for _, m := range d.mapping {
		values[strings.TrimPrefix(m.value, "-")] = true
	}
	delete(values, "0")
	if len(values) > 1 {
		x.note("mapping", "Choices earn different points: now each right one earns the same, and each wrong one takes as much.")
	}
}

func (x *reader) order(e *etree.Element, d declaration) (marking.Definition, error) {
	texts := map[string]string{}
	for _, c := range children(e, "simpleChoice") {
		texts[attr(c, "identifier")] = x.inner(c)
	}
	out := marking.Definition{Kind: marking.Ordering, Scoring: marking.AllOrNothing}
	for _, id := range d.correct {
		text, ok := texts[id]
		if !ok {
			return marking.Definition{}, refuse("no_correct_response", "The right order names something that is not there.")
		}
		out.Ordering = append(out.Ordering, marking.Item{Text: text})
	}
	if len(out.Ordering) != len(texts) || len(texts) < 2 {
		return marking.Definition{}, refuse("no_correct_response", "The right order is not complete.")
	}
	return out, nil
}

func (x *reader) textEntry(_ *etree.Element, d declaration) (marking.Definition, error) {
	if d.baseType == "float" || d.baseType == "integer" {
		return x.numeric(d)
	}
	out := marking.Definition{Kind: marking.ShortText, ShortText: &marking.Phrases{}}
	for _, c := range d.correct {
		if !slices.ContainsFunc(d.mapping, func(m mapEntry) bool { return m.key == c }) {
			out.ShortText.Accepted = append(out.ShortText.Accepted, marking.Phrase{Text: c})
		}
	}
	most := 0.0
	for _, m := range d.mapping {
		most = max(most, points(m.value))
	}
	for _, m := range d.mapping {
		if p := points(m.value); p > 0 && m.key != "" {
			credit := int(100*p/most + 0.5)
			out.ShortText.Accepted = append(out.ShortText.Accepted, marking.Phrase{Text: m.key, Credit: &credit})
			out.ShortText.Case = out.ShortText.Case || m.caseSensitive
		}
	}
	if len(d.mapping) == 0 {
		out.ShortText.Case, out.ShortText.Diacritics = true, true // match_correct compares exactly
	}
	if len(out.ShortText.Accepted) == 0 {
		return marking.Definition{}, refuse("no_correct_response", "The item does not say what is right.")
	}
	return out, nil
}

// points reads what a mapping gives; it only becomes a share in whole percent.
func points(s string) float64 {
	var v float64
	if _, err := fmt.Sscanf(s, "%g", &v); err != nil {
		return 0
	}
	return v
}

func (x *reader) numeric(d declaration) (marking.Definition, error) {
	out := marking.Definition{Kind: marking.Numeric}
	tolerance, relative := x.tolerance()
	for _, v := range d.right() {
		out.Numeric = append(out.Numeric, marking.NumericAnswer{Value: v, Tolerance: tolerance, Relative: relative})
	}
	if len(out.Numeric) == 0 {
		return marking.Definition{}, refuse("no_correct_response", "The item does not say what is right.")
	}
	return out, nil
}

// tolerance is that of the comparison in the response processing.
func (x *reader) tolerance() (amount string, relative bool) {
	for _, e := range all(child(x.root, "responseProcessing"), "equal") {
		parts := strings.Fields(attr(e, "tolerance"))
		if len(parts) == 0 || attr(e, "toleranceMode") == "exact" {
			continue
		}
		if len(parts) > 1 && parts[0] != parts[1] {
			x.note("tolerance", "The tolerance is not the same on both sides: the first one is used.")
		}
		return strings.TrimSpace(parts[0]), attr(e, "toleranceMode") == "relative"
	}
	return "", false
}

func (x *reader) essay(_ *etree.Element, _ declaration) (marking.Definition, error) {
	var notes []string
	for _, r := range all(x.body, "rubricBlock") {
		if strings.Contains(attr(r, "view"), "scorer") {
			notes = append(notes, x.inner(r))
		}
	}
	return marking.Definition{Kind: marking.Essay, Essay: &marking.Prose{GraderNotes: strings.Join(notes, " ")}}, nil
}

func (x *reader) match(e *etree.Element, d declaration) (marking.Definition, error) {
	sets := children(e, "simpleMatchSet")
	if len(sets) != 2 {
		return marking.Definition{}, refuse("unsupported_interaction", "A match has two sets.")
	}
	options, order := map[string]string{}, []string{}
	for _, c := range children(sets[1], "simpleAssociableChoice") {
		id := attr(c, "identifier")
		options[id] = x.inner(c)
		order = append(order, id)
	}
	partner, used := map[string]string{}, map[string]bool{}
	for _, pair := range d.right() {
		parts := strings.Fields(pair)
		if len(parts) != 2 || options[parts[1]] == "" {
			return marking.Definition{}, refuse("no_correct_response", "A pair names something that is not there.")
		}
		if partner[parts[0]] != "" {
			return marking.Definition{}, refuse("many_to_many", "A prompt with several partners is not understood.")
		}
		partner[parts[0]], used[options[parts[1]]] = parts[1], true
	}
	out := marking.Definition{Kind: marking.Matching, Scoring: marking.AllOrNothing, Matching: &marking.Pairing{}}
	if len(d.mapping) > 0 {
		out.Scoring = marking.Partial
		x.unevenMapping(d)
	}
	for _, c := range children(sets[0], "simpleAssociableChoice") {
		id := attr(c, "identifier")
		if partner[id] == "" {
			return marking.Definition{}, refuse("no_correct_response", "A prompt has no partner.")
		}
		out.Matching.Pairs = append(out.Matching.Pairs, marking.Pair{Prompt: x.inner(c), Match: options[partner[id]]})
	}
	for _, id := range order {
		if !used[options[id]] {
			out.Matching.Distractors = append(out.Matching.Distractors, marking.Item{Text: options[id]})
		}
	}
	return out, nil
}

// feedback takes what is said whatever was answered; what depends on an outcome is
// not understood.
func (x *reader) feedback(d *marking.Definition, interaction *etree.Element) {
	choices := map[string]bool{}
	for _, c := range interaction.ChildElements() {
		choices[attr(c, "identifier")] = true
	}
	var rest []*etree.Element
	for _, f := range children(x.root, "modalFeedback") {
		if !choices[attr(f, "identifier")] {
			rest = append(rest, f)
		}
	}
	if len(rest) == 1 && attr(rest[0], "showHide") != "hide" {
		d.GeneralFeedback = x.inner(rest[0])
		return
	}
	if len(rest) > 0 {
		x.note("feedback", "Feedback that depends on the outcome was left out.")
	}
}

// processing notes rules that are not those of a template.
func (x *reader) processing(kind marking.Kind) {
	p := child(x.root, "responseProcessing")
	if p == nil || attr(p, "template") != "" || len(p.ChildElements()) == 0 || kind == marking.Essay || kind == marking.Numeric {
		return
	}
	x.note("response_processing", "The item's own rules of scoring were not read; the correct response counts.")
}

// prompt is the body without the interaction; a gap in a text becomes a line.
func (x *reader) prompt(interaction *etree.Element) string {
	var b strings.Builder
	x.write(&b, x.body, interaction)
	if p := child(interaction, "prompt"); p != nil {
		b.WriteString("<p>" + x.inner(p) + "</p>")
	}
	return strings.TrimSpace(b.String())
}

// inner is what an element contains, as HTML that is still to be made harmless.
func (x *reader) inner(e *etree.Element) string {
	var b strings.Builder
	x.write(&b, e, nil)
	return strings.TrimSpace(b.String())
}

func (x *reader) write(b *strings.Builder, e, gap *etree.Element) {
	for _, t := range e.Child {
		switch c := t.(type) {
		case *etree.CharData:
			b.WriteString(html.EscapeString(c.Data))
		case *etree.Element:
			x.writeElement(b, c, gap)
		}
	}
}

func (x *reader) writeElement(b *strings.Builder, e, gap *etree.Element) {
	switch n := name(e); {
	case e == gap:
		if n == "textEntryInteraction" || n == "inlineChoiceInteraction" {
			b.WriteString("_____")
		}
	case n == "feedbackInline", n == "feedbackBlock", n == "endAttemptInteraction", n == "rubricBlock" && !strings.Contains(attr(e, "view"), "candidate"):
		// Not for who answers.
	case n == "img" && !strings.Contains(attr(e, "src"), "://"), n == "object", n == "audio", n == "video":
		x.note("media", "A picture or recording of the package was left out: "+attr(e, "src")+attr(e, "data"))
	case strings.HasPrefix(e.Tag, "qti-"), n != strings.ToLower(n):
		x.write(b, e, gap) // a container of QTI
	default:
		b.WriteString("<" + n)
		for _, a := range e.Attr {
			if a.Space == "" {
				b.WriteString(" " + a.Key + `="` + html.EscapeString(a.Value) + `"`)
			}
		}
		b.WriteString(">")
		if n == "br" || n == "hr" || n == "img" {
			return
		}
		x.write(b, e, gap)
		b.WriteString("</" + n + ">")
	}
}
