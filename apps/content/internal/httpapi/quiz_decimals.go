package httpapi

import (
	"github.com/danielgtaylor/huma/v2"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Decimal is a number with at most two decimals, written plainly: exact, so that
// what is read is what was sent. Exponents and further digits are refused by Value,
// beside all other fields that are wrong.
type Decimal struct {
	hundredths events.Hundredths
	bad        bool
}

// decimal shows hundredths.
func decimal(h *events.Hundredths) *Decimal {
	if h == nil {
		return nil
	}
	return &Decimal{hundredths: *h}
}

// UnmarshalJSON reads a number; what is wrong with it is told by Value.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	d.bad = d.hundredths.UnmarshalJSON(b) != nil
	return nil
}

// MarshalJSON writes the shortest number.
func (d Decimal) MarshalJSON() ([]byte, error) { return d.hundredths.MarshalJSON() }

// Schema tells clients of a number.
func (Decimal) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: "At most two decimals, without an exponent."}
}

// Value is the number; one that cannot be kept exactly is noted as a wrong field.
func (d *Decimal) Value(f *apperr.Fields, path string) *events.Hundredths {
	switch {
	case d == nil:
		return nil
	case d.bad:
		f.Add(path, "decimals", "A plain number with at most two decimals.")
		return nil
	}
	h := d.hundredths
	return &h
}
