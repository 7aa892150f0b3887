package qti

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/archive"
)

const choice21 = `<?xml version="1.0" encoding="UTF-8"?>
<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="choice" title="Unattended Luggage" adaptive="false" timeDependent="false">
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="identifier"><correctResponse><value>ChoiceA</value></correctResponse></responseDeclaration>
  <outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>
  <itemBody><p>Look at the <b>text</b>.</p><img src="images/sign.png" alt="NEVER LEAVE LUGGAGE"/>
    <choiceInteraction responseIdentifier="RESPONSE" shuffle="false" maxChoices="1"><prompt>What does it say?</prompt>
      <simpleChoice identifier="ChoiceA">You must stay with your luggage. <feedbackInline outcomeIdentifier="F" identifier="ChoiceA" showHide="show">Yes.</feedbackInline></simpleChoice>
      <simpleChoice identifier="ChoiceB">Do not let someone else look after it.</simpleChoice>
    </choiceInteraction></itemBody>
  <responseProcessing template="http://www.imsglobal.org/question/qti_v2p1/rptemplates/match_correct"/>
</assessmentItem>`

const choice30 = `<qti-assessment-item xmlns="http://www.imsglobal.org/xsd/imsqtiasi_v3p0" identifier="multi" title="Composition of water">
  <qti-response-declaration identifier="R" cardinality="multiple" base-type="identifier">
    <qti-correct-response><qti-value>H</qti-value><qti-value>O</qti-value></qti-correct-response>
    <qti-mapping default-value="-2"><qti-map-entry map-key="H" mapped-value="1"/><qti-map-entry map-key="O" mapped-value="1"/><qti-map-entry map-key="Cl" mapped-value="-1"/></qti-mapping>
  </qti-response-declaration>
  <qti-item-body><qti-choice-interaction response-identifier="R" max-choices="0"><qti-prompt>Which elements?</qti-prompt>
    <qti-simple-choice identifier="H">Hydrogen</qti-simple-choice><qti-simple-choice identifier="O">Oxygen</qti-simple-choice><qti-simple-choice identifier="Cl">Chlorine</qti-simple-choice>
  </qti-choice-interaction></qti-item-body>
</qti-assessment-item>`

// item21 is an item of QTI 2.1 from its parts.
func item21(id, declaration, body, rest string) string {
	return fmt.Sprintf(`<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="%s" title="%s">%s<itemBody>%s</itemBody>%s</assessmentItem>`, id, id, declaration, body, rest)
}

func TestAChoiceOfEachVersion(t *testing.T) {
	t.Parallel()
	it := ReadItem("a.xml", []byte(choice21))
	require.NotNil(t, it.Question, it.Code)
	q := it.Question
	require.Equal(t, "Unattended Luggage", q.Title)
	require.Equal(t, "choice", q.ExternalID)
	require.Equal(t, marking.Single, q.Definition.Kind)
	require.Contains(t, q.Definition.Prompt, "<b>text</b>")
	require.Contains(t, q.Definition.Prompt, "What does it say?")
	require.True(t, q.Definition.Choices[0].Correct)
	require.Equal(t, "You must stay with your luggage.", q.Definition.Choices[0].Text)
	require.Equal(t, "Yes.", q.Definition.Choices[0].Feedback)
	require.Equal(t, "media", it.Notes[0].Code)

	it = ReadItem("b.xml", []byte(choice30))
	require.NotNil(t, it.Question, it.Code)
	d := it.Question.Definition
	require.Equal(t, marking.Multiple, d.Kind)
	require.Equal(t, marking.Partial, d.Scoring)
	require.Equal(t, []bool{true, true, false}, []bool{d.Choices[0].Correct, d.Choices[1].Correct, d.Choices[2].Correct})
	require.Empty(t, it.Notes)
}

func TestTheOtherInteractions(t *testing.T) {
	t.Parallel()
	read := func(raw string) (marking.Definition, Item) {
		it := ReadItem("x.xml", []byte(raw))
		require.NotNil(t, it.Question, "%s %s", it.Code, it.Message)
		return it.Question.Definition, it
	}
	declared := func(cardinality, base string, values ...string) string {
		return fmt.Sprintf(`<responseDeclaration identifier="R" cardinality="%s" baseType="%s"><correctResponse><value>%s</value></correctResponse></responseDeclaration>`,
			cardinality, base, strings.Join(values, "</value><value>"))
	}
	d, _ := read(item21("text", `<responseDeclaration identifier="R" cardinality="single" baseType="string"><correctResponse><value>York</value></correctResponse>
		<mapping><mapEntry mapKey="York" mappedValue="1"/><mapEntry mapKey="york" mappedValue="0.5"/></mapping></responseDeclaration>`,
		`<p>The sun of <textEntryInteraction responseIdentifier="R"/>.</p>`, ""))
	require.Equal(t, "<p>The sun of _____.</p>", d.Prompt)
	require.Len(t, d.ShortText.Accepted, 2)
	require.Equal(t, 50, *d.ShortText.Accepted[1].Credit)

	d, _ = read(item21("number", declared("single", "float", "9.81"), `<p><textEntryInteraction responseIdentifier="R"/></p>`,
		`<responseProcessing><responseCondition><responseIf><equal toleranceMode="absolute" tolerance="0.05 0.05"/></responseIf></responseCondition></responseProcessing>`))
	require.Equal(t, marking.NumericAnswer{Value: "9.81", Tolerance: "0.05"}, d.Numeric[0])

	d, _ = read(item21("order", declared("ordered", "identifier", "b", "a"), `<orderInteraction responseIdentifier="R"><simpleChoice identifier="a">A</simpleChoice><simpleChoice identifier="b">B</simpleChoice></orderInteraction>`, ""))
	require.Equal(t, []marking.Item{{Text: "B"}, {Text: "A"}}, d.Ordering)

	d, _ = read(item21("match", declared("multiple", "directedPair", "p q", "r s"), `<matchInteraction responseIdentifier="R"><simpleMatchSet><simpleAssociableChoice identifier="p">P</simpleAssociableChoice>
		<simpleAssociableChoice identifier="r">R</simpleAssociableChoice></simpleMatchSet><simpleMatchSet><simpleAssociableChoice identifier="q">Q</simpleAssociableChoice>
		<simpleAssociableChoice identifier="s">S</simpleAssociableChoice><simpleAssociableChoice identifier="x">X</simpleAssociableChoice></simpleMatchSet></matchInteraction>`, ""))
	require.Equal(t, "Q", d.Matching.Pairs[0].Match)
	require.Equal(t, "X", d.Matching.Distractors[0].Text)

	d, it := read(item21("essay", `<responseDeclaration identifier="R" cardinality="single" baseType="string"/>`,
		`<rubricBlock view="scorer"><p>Look for verbs.</p></rubricBlock><extendedTextInteraction responseIdentifier="R"><prompt>Write.</prompt></extendedTextInteraction>`,
		`<modalFeedback identifier="a" showHide="show" outcomeIdentifier="F">A</modalFeedback><modalFeedback identifier="b" showHide="show" outcomeIdentifier="F">B</modalFeedback>`))
	require.Equal(t, "<p>Look for verbs.</p>", d.Essay.GraderNotes)
	require.NotContains(t, d.Prompt, "verbs")
	require.Equal(t, "feedback", it.Notes[0].Code)

	d, _ = read(item21("inline", declared("single", "identifier", "b"), `<p>Now <inlineChoiceInteraction responseIdentifier="R"><inlineChoice identifier="a">A</inlineChoice><inlineChoice identifier="b">B</inlineChoice></inlineChoiceInteraction>!</p>`, ""))
	require.True(t, d.Choices[1].Correct)
}

func TestWhatIsNotUnderstoodIsSaid(t *testing.T) {
	t.Parallel()
	choice := `<choiceInteraction responseIdentifier="R"><simpleChoice identifier="a">A</simpleChoice><simpleChoice identifier="b">B</simpleChoice></choiceInteraction>`
	for code, raw := range map[string]string{
		"unreadable":              "<assessmentItem><itemBody>",
		"not_an_item":             "<html/>",
		"no_body":                 `<assessmentItem identifier="x"/>`,
		"no_interaction":          item21("x", "", "<p>Hello</p>", ""),
		"composite":               item21("x", "", choice+choice, ""),
		"no_correct_response":     item21("x", "", choice, ""),
		"unsupported_interaction": item21("x", "", `<hotspotInteraction responseIdentifier="R"/>`, ""),
		"adaptive":                `<assessmentItem identifier="x" adaptive="true"><itemBody>` + choice + `</itemBody></assessmentItem>`,
		"entities_refused":        `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><assessmentItem identifier="x"><itemBody>` + choice + `</itemBody></assessmentItem>`,
	} {
		it := ReadItem("x.xml", []byte(raw))
		require.Nil(t, it.Question, code)
		require.Equal(t, code, it.Code)
		require.NotEmpty(t, it.Message)
	}
	deep := strings.Repeat("<div>", 200) + strings.Repeat("</div>", 200)
	require.Equal(t, "unreadable", ReadItem("x.xml", []byte(item21("x", "", deep, ""))).Code)
	outside := ReadItem("x.xml", []byte(`<!DOCTYPE assessmentItem SYSTEM "file:///etc/passwd"><assessmentItem identifier="x"><itemBody>&passwd;</itemBody></assessmentItem>`))
	require.Equal(t, "unreadable", outside.Code, "nothing is fetched, nothing is expanded")
}

func zipped(t *testing.T, files map[string]string, order ...string) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range order {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(files[name]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return bytes.NewReader(b.Bytes())
}

func small() archive.Limits {
	return archive.Limits{Entries: 10, Document: 1 << 20, Read: 4 << 20, Unpacked: 8 << 20, Ratio: 100}
}

func TestAPackage(t *testing.T) {
	t.Parallel()
	manifest := `<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1"><resources>
		<resource identifier="1" type="imsqti_item_xmlv2p1" href="items/a.xml"/><resource identifier="2" type="imsqti_item_xmlv3p0" href="items/b.xml"/>
		<resource identifier="3" type="imsqti_item_xmlv2p1" href="items/gone.xml"/><resource identifier="4" type="imsqti_item_xmlv2p1" href="items/copy.xml"/>
		<resource identifier="5" type="webcontent" href="x.html"/></resources></manifest>`
	files := map[string]string{manifestName: manifest, "items/a.xml": choice21, "items/b.xml": choice30, "items/copy.xml": choice21, "x.html": "<p/>"}
	r := zipped(t, files, manifestName, "items/a.xml", "items/b.xml", "items/copy.xml", "x.html")
	items, err := Read(r, r.Size(), small())
	require.NoError(t, err)
	require.Len(t, items, 4)
	require.Equal(t, []string{"", "", "missing", "duplicate_identifier"}, []string{items[0].Code, items[1].Code, items[2].Code, items[3].Code})

	bare := zipped(t, files, "items/a.xml", "items/b.xml")
	items, err = Read(bare, bare.Size(), small())
	require.NoError(t, err)
	require.Len(t, items, 2, "items are found without a manifest")
}

func TestAHostilePackageIsRefused(t *testing.T) {
	t.Parallel()
	bomb := zipped(t, map[string]string{"a.xml": strings.Repeat(" ", 30<<20)}, "a.xml")
	for code, r := range map[string]*bytes.Reader{
		"not_a_zip": bytes.NewReader([]byte("hello")), "too_large": bomb, "no_items": zipped(t, map[string]string{"a.txt": "x"}, "a.txt"),
		"bad_name":     zipped(t, map[string]string{"../a.xml": choice21}, "../a.xml"),
		"bad_manifest": zipped(t, map[string]string{manifestName: "<manifest>"}, manifestName),
	} {
		_, err := Read(r, r.Size(), small())
		require.Error(t, err, code)
		require.Equal(t, code, apperr.From(err).Fields[0].Code)
	}
}
