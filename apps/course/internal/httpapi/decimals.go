package httpapi

import (
	"math"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Clients write and read decimals as JSON numbers; inside they are exact
// hundredths.

func decimal(h *events.Hundredths) *float64 {
	if h == nil {
		return nil
	}
	v := float64(*h) / 100
	return &v
}

func hundredths(f *apperr.Fields, path string, v *float64) *events.Hundredths {
	if v == nil {
		return nil
	}
	scaled := *v * 100
	rounded := math.Round(scaled)
	if math.Abs(scaled-rounded) > 1e-6 || math.Abs(rounded) > 1e12 {
		f.Add(path, "decimals", "A number with at most two decimals.")
		return nil
	}
	h := events.Hundredths(rounded)
	return &h
}
