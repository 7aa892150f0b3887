package texts

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"lms/apps/notification/internal/catalog"
)

// Reader is for whom a text is written.
type Reader struct {
	Name   string
	Locale string
	Zone   *time.Location
}

// when is a moment as its reader has it.
type when struct {
	t      time.Time
	locale string
}

func base(locale string) string {
	b, _, _ := strings.Cut(locale, "-")
	return strings.ToLower(b)
}

func (w when) layout() string {
	switch base(w.locale) {
	case "de":
		return "02.01.2006"
	case "es", "vi":
		return "02/01/2006"
	}
	return "2 January 2006"
}

// String writes day and time.
func (w when) String() string { return w.t.Format(w.layout() + ", 15:04 MST") }

// dateOf and timeOf are the functions date and time of the templates; an empty
// moment stays empty.
func dateOf(v any) string {
	if w, ok := v.(when); ok {
		return w.t.Format(w.layout())
	}
	return ""
}

func timeOf(v any) string {
	if w, ok := v.(when); ok {
		return w.t.Format("15:04 MST")
	}
	return ""
}

// values makes what a template sees of the stored variables.
func values(kind catalog.Kind, r Reader, vars map[string]string, link string) map[string]any {
	out := map[string]any{"recipient": noLinks(r.Name), "link": link}
	for _, v := range kind.Variables {
		out[v.Name] = value(v.Type, vars[v.Name], r)
	}
	return out
}

func value(t catalog.VarType, raw string, r Reader) any {
	if raw == "" {
		return ""
	}
	switch t {
	case catalog.Moment:
		at, err := time.Parse(time.RFC3339, raw)
		if err != nil {
			return ""
		}
		if r.Zone != nil {
			at = at.In(r.Zone)
		}
		return when{at, r.Locale}
	case catalog.Money:
		return price(raw, r.Locale)
	case catalog.Number:
		return decimal(raw, r.Locale)
	case catalog.Name:
		return noLinks(raw)
	case catalog.Long:
		return strings.ReplaceAll(raw, "\x00", "")
	case catalog.Text:
	}
	return oneLine(raw)
}

func printer(locale string) *message.Printer {
	tag, err := language.Parse(locale)
	if err != nil {
		tag = language.English
	}
	return message.NewPrinter(tag)
}

func decimal(raw, locale string) string {
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return oneLine(raw)
	}
	return printer(locale).Sprint(number.Decimal(f, number.MaxFractionDigits(2)))
}

// price writes minor units, "4900 EUR", with the decimals of the currency (rule 34).
func price(raw, locale string) string {
	amount, code, _ := strings.Cut(raw, " ")
	minor, err := strconv.ParseInt(amount, 10, 64)
	unit, uerr := currency.ParseISO(code)
	if err != nil || uerr != nil {
		return oneLine(raw)
	}
	scale, _ := currency.Standard.Rounding(unit)
	major := float64(minor)
	for range scale {
		major /= 10
	}
	return printer(locale).Sprint(number.Decimal(major, number.Scale(scale))) + " " + code
}

var breaks = regexp.MustCompile(`[\r\n\t\x00-\x1f\x7f]+`)

// oneLine keeps what people write from becoming more than a word in a line.
func oneLine(s string) string { return strings.TrimSpace(breaks.ReplaceAllString(s, " ")) }

// noLinks breaks what a mail program would make clickable in a name.
func noLinks(s string) string {
	s = oneLine(s)
	for _, mark := range []string{"://", "www.", "@"} {
		if strings.Contains(strings.ToLower(s), mark) {
			return ""
		}
	}
	if r := []rune(s); len(r) > 80 {
		return string(r[:80])
	}
	return s
}

// sample are values to try a template with: all, or without what may be empty.
func sample(kind catalog.Kind, locale string, full bool) map[string]any {
	vars := map[string]string{}
	for _, v := range Variables(kind) {
		if full || !v.Optional {
			vars[v.Name] = v.Sample
		}
	}
	return values(kind, Reader{Name: vars["recipient"], Locale: locale, Zone: time.UTC}, vars, vars["link"])
}
