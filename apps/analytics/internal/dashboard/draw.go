package dashboard

import (
	"fmt"
	"math"
	"strings"

	"github.com/go-analyze/charts"
)

// Size of a chart, in pixels.
const (
	width      = 960
	height     = 320
	barHeight  = 26 // of a category with one series
	maxHeight  = 1200
	longLabel  = 28 // characters
	manyLabels = 8  // bars with more are drawn from left to right, with room for words
)

// symbols tell lines apart without colour.
var symbols = []charts.SymbolShape{charts.SymbolCircle, charts.SymbolSquare, charts.SymbolDiamond, charts.SymbolDot} //nolint:gochecknoglobals // immutable

// Draw draws a chart as SVG. Lines have a symbol each and bars their number, so that
// neither needs its colour to be read.
func Draw(shape Shape, c Chart) ([]byte, error) {
	if len(c.Labels) == 0 || len(c.Series) == 0 {
		return nil, nil
	}
	var names []string
	for _, s := range c.Series {
		names = append(names, s.Name)
	}
	labels := make([]string, len(c.Labels))
	for i, l := range c.Labels {
		labels[i] = short(l)
	}
	var out []byte
	var err error
	if shape == Lines {
		out, err = lines(c, labels, names)
	} else {
		out, err = bars(c, labels, names)
	}
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	return out, nil
}

func short(s string) string {
	r := []rune(s)
	if len(r) <= longLabel {
		return s
	}
	return strings.TrimSpace(string(r[:longLabel-1])) + "…"
}

// format writes whole numbers whole, and what an axis has between two as it is.
func format(v float64) string {
	if v == math.Trunc(v) {
		return grouped(fmt.Sprintf("%.0f", v))
	}
	return fmt.Sprintf("%.1f", v)
}

// theme is the usual one with colours that go from dark to light in the order of the
// series, so that they can be told apart in grey as well.
func theme() charts.ColorPalette {
	return charts.GetTheme(charts.ThemeLight).WithSeriesColors([]charts.Color{
		charts.ColorFromHex("#16324f"), charts.ColorFromHex("#3f7fb5"), charts.ColorFromHex("#f0a93b"), charts.ColorFromHex("#c4ced6"),
	})
}

func grouped(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}

func lines(c Chart, labels, names []string) ([]byte, error) {
	list := make(charts.LineSeriesList, len(c.Series))
	for i, s := range c.Series {
		list[i] = charts.LineSeries{Name: s.Name, Values: s.Values, Symbol: charts.Symbol{Shape: symbols[i%len(symbols)], Size: 4}}
	}
	opt := charts.NewLineChartOptionWithSeries(list)
	opt.Theme, opt.XAxis.Labels = theme(), labels
	opt.Legend.SeriesNames = names
	opt.ValueFormatter = format
	opt.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0)}}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height})
	if err := p.LineChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

func bars(c Chart, labels, names []string) ([]byte, error) {
	list := make(charts.BarSeriesList, len(c.Series))
	for i, s := range c.Series {
		list[i] = charts.BarSeries{Name: s.Name, Values: s.Values, Label: charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: format}}
	}
	opt := charts.NewBarChartOptionWithSeries(list)
	opt.Theme, opt.Legend.SeriesNames = theme(), names
	opt.ValueFormatter = format
	opt.CategoryAxis.Labels = labels
	tall := height
	if wordy(labels) {
		opt.Horizontal = true
		tall = min(80+len(labels)*len(names)*barHeight, maxHeight)
	}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: tall})
	if err := p.BarChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// wordy labels need the room of a line each.
func wordy(labels []string) bool {
	for _, l := range labels {
		if len([]rune(l)) > 10 {
			return true
		}
	}
	return len(labels) > 2*manyLabels
}
