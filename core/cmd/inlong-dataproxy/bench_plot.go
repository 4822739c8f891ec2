package main

import (
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"math"
	"slices"

	chart "github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
	"github.com/guptarohit/asciigraph"
)

const (
	plotWidth, plotHeight = 900, 250 // pixels of each plot
	textWidth, textHeight = 70, 10   // characters
)

// plot is one quantity over time.
type plot struct {
	title  string
	curves []curve
}

type curve struct {
	name  string
	color drawing.Color
	chars string // of which it is drawn in a terminal; "" for a line
	y     func(point) float64
}

func (r *benchReport) plots() []plot {
	throughput := plot{"messages/s", []curve{
		{"sent", drawing.Color{R: 160, G: 160, B: 160, A: 255}, "-", func(p point) float64 { return float64(p.Sent) / p.Seconds }},
		{"acked", chart.ColorBlue, "", func(p point) float64 { return float64(p.Acked) / p.Seconds }}}}
	if r.Failed > 0 {
		throughput.curves = append(throughput.curves,
			curve{"failed", chart.ColorRed, "x", func(p point) float64 { return float64(p.Failed) / p.Seconds }})
	}
	spool := []plot{}
	if r.usesSpool() {
		throughput.curves = append(throughput.curves,
			curve{"from the spool", chart.ColorGreen, "+", func(p point) float64 { return float64(p.Replayed) / p.Seconds }})
		spool = append(spool, plot{"messages in the spool", []curve{
			{"stored", chart.ColorBlue, "", func(p point) float64 { return float64(p.Stored) }}}})
	}
	if r.Mode == modeTold {
		return append([]plot{throughput, {"memory in MiB", []curve{
			{"resident", chart.ColorOrange, "", func(p point) float64 { return float64(p.HeapBytes) / (1 << 20) }},
		}}}, spool...)
	}
	return append([]plot{throughput, {"latency in ms", []curve{
		{"p50", chart.ColorGreen, "", func(p point) float64 { return p.P50 / 1000 }},
		{"p99", chart.ColorOrange, "*", func(p point) float64 { return p.P99 / 1000 }},
		{"max", chart.ColorRed, ".", func(p point) float64 { return p.Max / 1000 }},
	}}, {"memory in MiB", []curve{
		{"pending messages", chart.ColorBlue, "", func(p point) float64 { return float64(p.PendingBytes) / (1 << 20) }},
		{"heap", chart.ColorOrange, "*", func(p point) float64 { return float64(p.HeapBytes) / (1 << 20) }},
	}}, {"connected", []curve{
		{"connections", chart.ColorGreen, "", func(p point) float64 { return float64(p.Connections) }},
		{"nodes", chart.ColorBlue, "*", func(p point) float64 { return float64(p.Nodes) }},
	}}}, spool...)
}

func (r *benchReport) usesSpool() bool {
	return slices.ContainsFunc(r.Intervals, func(p point) bool { return p.Stored+p.Replayed > 0 })
}

// lines returns each curve's values, and the highest of all.
func (p plot) lines(points []point) (lines [][]float64, highest float64) {
	for _, c := range p.curves {
		var line []float64
		for _, at := range points {
			line = append(line, c.y(at))
			highest = max(highest, c.y(at))
		}
		lines = append(lines, line)
	}
	return lines, highest
}

// plotPNG draws the plots, one below the other.
func (r *benchReport) plotPNG(w io.Writer) error {
	plots := r.plots()
	all := image.NewRGBA(image.Rect(0, 0, plotWidth, len(plots)*plotHeight))
	for i, p := range plots {
		var one chart.ImageWriter
		if err := r.chart(p).Render(chart.PNG, &one); err != nil {
			return err
		}
		drawn, err := one.Image()
		if err != nil {
			return err
		}
		draw.Draw(all, image.Rect(0, i*plotHeight, plotWidth, (i+1)*plotHeight), drawn, image.Point{}, draw.Src)
	}
	return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(w, all)
}

func (r *benchReport) chart(p plot) *chart.Chart {
	lines, highest := p.lines(r.Intervals)
	end := r.Intervals[len(r.Intervals)-1].At
	grid := chart.Style{StrokeColor: chart.ColorLightGray, StrokeWidth: 1}
	c := &chart.Chart{
		Title: p.title, TitleStyle: chart.Style{FontStyle: chart.FontStyle{FontSize: 12}},
		Width: plotWidth, Height: plotHeight,
		Background:     chart.Style{Padding: chart.Box{Top: 78, Left: 20, Right: 20, Bottom: 10, IsSet: true}},
		XAxis:          chart.XAxis{Name: "seconds", Ticks: ticksWithin(end), GridMajorStyle: grid, GridMinorStyle: grid},
		YAxis:          chart.YAxis{Name: p.title, Ticks: ticks(highest), GridMajorStyle: grid, GridMinorStyle: grid},
		YAxisSecondary: chart.YAxis{Style: chart.Style{Hidden: true}},
	}
	seconds := []float64{}
	for _, at := range r.Intervals {
		seconds = append(seconds, at.At)
	}
	for i, curve := range p.curves {
		c.Series = append(c.Series, chart.ContinuousSeries{Name: curve.name, XValues: seconds, YValues: lines[i],
			Style: chart.Style{StrokeColor: curve.color, StrokeWidth: 2, DotColor: curve.color, DotWidth: 1}})
	}
	c.Elements = []chart.Renderable{chart.LegendThin(c)}
	return c
}

// ticks are marks from 0 to highest or a little more.
func ticks(highest float64) (marks []chart.Tick) {
	const about = 8
	step := roundStep(highest / about)
	for i := 0; len(marks) == 0 || marks[len(marks)-1].Value < highest; i++ {
		marks = append(marks, chart.Tick{Value: float64(i) * step, Label: number(float64(i) * step)})
	}
	return marks
}

// ticksWithin are marks from 0 on, none after end: a time axis that continues after the last measurement shows nothing there.
func ticksWithin(end float64) []chart.Tick {
	marks := ticks(end)
	if last := &marks[len(marks)-1]; last.Value > end {
		*last = chart.Tick{Value: end}
	}
	return marks
}

// roundStep returns the next higher of 1, 2, 5, 10, 20 and so on, down to a millionth.
func roundStep(v float64) float64 {
	v = max(v, 1e-6)
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 5} {
		if v <= digit*power {
			return digit * power
		}
	}
	return 10 * power
}

// number writes a number with three digits that count, and K or M where it is large.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gK", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// plotText draws the plots with characters, without colors.
func (r *benchReport) plotText(w io.Writer) error {
	for _, p := range r.plots() {
		lines, highest := p.lines(r.Intervals)
		caption, chars := p.title+":", []asciigraph.CharSet{}
		for _, c := range p.curves {
			set, looks := asciigraph.DefaultCharSet, "line"
			if c.chars != "" {
				set, looks = asciigraph.CreateCharSet(c.chars), c.chars
			}
			chars, caption = append(chars, set), fmt.Sprintf("%s %s (%s)", caption, c.name, looks)
		}
		text := asciigraph.PlotMany(lines, asciigraph.Width(textWidth), asciigraph.Height(textHeight), asciigraph.LowerBound(0),
			asciigraph.UpperBound(roundStep(highest/textHeight)*textHeight), asciigraph.SeriesChars(chars...),
			asciigraph.Caption(caption+" over seconds"), asciigraph.YAxisValueFormatter(number),
			asciigraph.XAxisRange(0, r.Seconds), asciigraph.XAxisTickCount(6), asciigraph.XAxisValueFormatter(number))
		if _, err := fmt.Fprintf(w, "\n%s\n", text); err != nil {
			return err
		}
	}
	return nil
}
