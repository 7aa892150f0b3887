package search

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/apps/search/internal/language"
	"lms/shared/contracts/events"
)

// Types of documents. Those that are found are courses and contents; an outline says
// which contents a course shows, a category what it is called now.
const (
	TypeCourse   = "course"
	TypeContent  = "content"
	typeOutline  = "outline"
	typeCategory = "category"
)

// Limits of what is kept of a text.
const (
	maxWords     = 100_000 // of a content's text
	maxBeginning = 12      // letters of the beginning of a word
	maxShown     = 16 << 10
	maxSorted    = 120 // letters of a title that sort
)

// never is when what has no end is over, in Unix seconds.
const never = 1 << 50

// DocumentID is the id of a document of a type.
func DocumentID(kind string, id uuid.UUID) string { return kind + "." + id.String() }

// Source is what is kept of a course or content to show it, and to know who may see
// it.
type Source struct {
	Type        string              `json:"type"`
	ID          uuid.UUID           `json:"id"`
	Version     int64               `json:"version"`
	TenantID    uuid.UUID           `json:"tenant_id"`
	OrgUnitID   uuid.UUID           `json:"org_unit_id"`
	Code        string              `json:"code,omitempty"`
	Title       string              `json:"title"`
	Description string              `json:"description,omitempty"`
	Text        string              `json:"text,omitempty"` // the beginning; of a course the titles in it
	Kind        string              `json:"kind,omitempty"`
	Language    string              `json:"language,omitempty"`
	Level       string              `json:"level,omitempty"`
	Tags        []string            `json:"tags,omitempty"`
	CategoryID  *uuid.UUID          `json:"category_id,omitempty"`
	Category    string              `json:"category,omitempty"`
	CoverURL    string              `json:"cover_url,omitempty"`
	Status      string              `json:"status"`
	Price       *events.CoursePrice `json:"price,omitempty"`
	Seats       string              `json:"seats,omitempty"`
	Enrollment  string              `json:"enrollment_mode,omitempty"`
	OpensAt     *time.Time          `json:"opens_at,omitempty"`
	ClosesAt    *time.Time          `json:"closes_at,omitempty"`
	StartsAt    *time.Time          `json:"starts_at,omitempty"`
	EndsAt      *time.Time          `json:"ends_at,omitempty"`
	UpdatedAt   time.Time           `json:"updated_at"`

	// Course is the whole course, to make the document again.
	Course *events.CourseState `json:"course,omitempty"`
}

// Maker makes documents.
type Maker struct{ Languages *language.Languages }

// Prices, as they are filtered by.
const (
	PriceFree = "free"
	PricePaid = "paid"
)

// Around is what the document of a course has of other documents.
type Around struct {
	Category string // what its category is called now; "" for what the course says
	Outline  string // the titles that its curriculum shows
}

// Course is the document of a course. Whoever may know it may read the titles of what
// is published in it, so that it is found by them.
func (m Maker) Course(c events.CourseState, version int64, around Around) Document {
	id := DocumentID(TypeCourse, c.ID)
	if c.Deleted {
		return Document{ID: id, Version: version, Gone: true}
	}
	if around.Category != "" {
		c.CategoryName = around.Category
	}
	s := Source{
		Type: TypeCourse, ID: c.ID, Version: c.Version, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Code: c.Code, Title: c.Title, Description: c.Description,
		Language: c.Language, Level: c.Level, Tags: c.Tags, CategoryID: c.CategoryID, Category: c.CategoryName, CoverURL: c.CoverURL, Status: c.Status,
		Price: c.Price, Seats: c.Seats, Enrollment: c.EnrollmentMode, OpensAt: c.EnrollmentOpensAt, ClosesAt: c.EnrollmentClosesAt,
		StartsAt: c.StartsAt, EndsAt: c.EndsAt, UpdatedAt: c.UpdatedAt, Course: &c, Text: beginning(around.Outline, maxShown),
	}
	d := m.document(id, version, s)
	d.Words[TextWords], d.Words[TextStems] = m.words(c.Language, language.Tokens(s.Text))
	d.Keys[KeyAudience] = courseAudience(c)
	d.Keys[KeyPrice] = []string{PriceFree}
	if c.RequiresEntitlement || c.Price != nil && c.Price.Amount > 0 {
		d.Keys[KeyPrice] = []string{PricePaid}
	}
	if c.Price != nil {
		d.Keys[KeyCurrency] = []string{c.Price.Currency}
		d.Numbers[NumberAmount] = float64(c.Price.Amount)
		d.Sorts[SortPrice] = sortable(c.Price.Amount)
	}
	d.Keys[KeySeats], d.Keys[KeyEnrollment] = some(c.Seats), some(c.EnrollmentMode)
	d.Numbers[NumberOpens], d.Numbers[NumberCloses] = seconds(c.EnrollmentOpensAt, 0), seconds(c.EnrollmentClosesAt, never)
	if c.StartsAt != nil {
		d.Sorts[SortStarts] = sortable(c.StartsAt.Unix())
	}
	return d
}

// Content is the document of a content; text is all that should be found of it.
func (m Maker) Content(c events.ContentState, text string, version int64) Document {
	id := DocumentID(TypeContent, c.ID)
	if c.Deleted {
		return Document{ID: id, Version: version, Gone: true}
	}
	d := m.document(id, version, Source{
		Type: TypeContent, ID: c.ID, Version: c.Version, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Title: c.Title, Description: c.Description,
		Text: beginning(text, maxShown), Kind: c.Kind, Language: c.Language, Tags: c.Tags, Status: c.Status, UpdatedAt: c.UpdatedAt,
	})
	tokens := language.Tokens(text)
	if len(tokens) > maxWords {
		tokens = tokens[:maxWords]
	}
	d.Words[TextWords], d.Words[TextStems] = m.words(c.Language, tokens)
	d.Keys[KeyAudience] = contentAudience(c)
	return d
}

// outlineSource is what is kept of a curriculum: the contents that it shows, by
// whether learners see them.
type outlineSource struct {
	Visible []uuid.UUID `json:"visible,omitempty"`
	Hidden  []uuid.UUID `json:"hidden,omitempty"`
	Titles  string      `json:"titles,omitempty"`
}

// titlesShown are the titles of the modules and items that learners see.
func titlesShown(c events.CurriculumState) string {
	var out []string
	for _, part := range c.Modules {
		if part.Published {
			out = append(out, part.Title)
		}
		for _, item := range part.Items {
			if item.Visible {
				out = append(out, item.Title)
			}
		}
	}
	return beginning(strings.Join(out, " · "), maxShown)
}

// Outline is the document of a curriculum.
func (m Maker) Outline(c events.CurriculumState, version int64) Document {
	s := outlineSource{Titles: titlesShown(c)}
	for _, part := range c.Modules {
		for _, item := range part.Items {
			if item.Kind != events.ItemContent || item.ResourceID == nil {
				continue
			}
			if item.Visible {
				s.Visible = append(s.Visible, *item.ResourceID)
			} else {
				s.Hidden = append(s.Hidden, *item.ResourceID)
			}
		}
	}
	return plain(typeOutline, c.CourseID, c.TenantID, version, s)
}

type categorySource struct {
	Name string `json:"name"`
}

// Category is the document of a category's name.
func (m Maker) Category(c events.CategoryRenamed, version int64) Document {
	return plain(typeCategory, c.CategoryID, c.TenantID, version, categorySource{c.Name})
}

// plain documents are looked up and never found.
func plain(kind string, id, tenant uuid.UUID, version int64, source any) Document {
	return Document{
		ID: DocumentID(kind, id), Version: version, Source: mustJSON(source),
		Keys:  map[string][]string{KeyID: {DocumentID(kind, id)}, KeyType: {kind}, KeyTenant: {tenant.String()}},
		Sorts: map[string]string{}, Numbers: map[string]float64{}, Words: map[string][]string{},
	}
}

func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("search: " + err.Error()) // plain values
	}
	return raw
}

func (m Maker) document(id string, version int64, s Source) Document {
	d := Document{ID: id, Version: version, Source: mustJSON(s), Words: map[string][]string{}, Numbers: map[string]float64{}}
	title := language.Tokens(s.Title)
	d.Words[TitleWords], d.Words[TitleStems] = m.words(s.Language, title)
	d.Words[TitleBeginnings] = beginnings(title)
	for _, t := range language.Tokens(s.Code) {
		d.Words[CodeWords] = append(d.Words[CodeWords], t.Word)
	}
	if code := strings.ReplaceAll(language.Fold(s.Code), " ", ""); code != "" {
		d.Words[CodeWords] = append(d.Words[CodeWords], code)
	}
	d.Words[TagWords], d.Words[TagStems] = m.words(s.Language, language.Tokens(strings.Join(append([]string{s.Category, s.Level}, s.Tags...), " · ")))
	d.Words[AboutWords], d.Words[AboutStems] = m.words(s.Language, language.Tokens(s.Description))
	d.Keys = map[string][]string{
		KeyID: {id}, KeyType: {s.Type}, KeyTenant: {s.TenantID.String()}, KeyOrgUnit: {s.OrgUnitID.String()}, KeyStatus: {s.Status},
		KeyKind: some(s.Kind), KeyLanguage: some(language.Base(s.Language)), KeyLevel: some(s.Level), KeyTag: tags(s.Tags),
	}
	if s.CategoryID != nil {
		d.Keys[KeyCategory] = []string{s.CategoryID.String()}
		d.Keys[KeyCategoryName] = []string{s.CategoryID.String() + " " + s.Category}
	}
	sorted := []rune(language.Fold(s.Title))
	sorted = sorted[:min(len(sorted), maxSorted)]
	d.Sorts = map[string]string{
		SortTie: fmt.Sprintf("%03d %s", min(len(title), 999), string(sorted)), SortTitle: string(sorted), SortUpdated: sortable(s.UpdatedAt.Unix()),
		SortStarts: last, SortPrice: sortable(0),
	}
	return d
}

// last stands behind every number.
const last = "~"

// words are the words of a text with their stems.
func (m Maker) words(lang string, tokens []language.Token) (words, stems []string) {
	base := language.Base(lang)
	words = make([]string, 0, len(tokens))
	for _, t := range tokens {
		words = append(words, t.Word)
		stems = append(stems, m.Languages.Stems(base, t)...)
	}
	return words, stems
}

// beginnings are the beginnings of words that somebody may have typed so far.
func beginnings(tokens []language.Token) []string {
	var out []string
	for _, t := range tokens {
		letters := 0
		for i := range t.Word {
			if letters > 0 && letters <= maxBeginning {
				out = append(out, t.Word[:i])
			}
			letters++
		}
		if letters <= maxBeginning {
			out = append(out, t.Word)
		}
	}
	return out
}

func tags(list []string) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = strings.ToLower(t)
	}
	return out
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// sortable numbers sort as they count.
func sortable(n int64) string { return fmt.Sprintf("%015d", max(n, 0)) }

func seconds(t *time.Time, without float64) float64 {
	if t == nil {
		return without
	}
	return float64(t.Unix())
}

// beginning cuts a text to at most size bytes, between two letters.
func beginning(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}
