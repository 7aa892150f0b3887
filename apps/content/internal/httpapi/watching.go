package httpapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Interval is a part of a recording.
type Interval struct {
	FromMS int64 `json:"from_ms" minimum:"0"`
	ToMS   int64 `json:"to_ms" minimum:"0"`
}

// Watch is how far I watched a recording.
type Watch struct {
	ContentID       uuid.UUID  `json:"content_id"`
	Version         int        `json:"version"`
	PositionMS      int64      `json:"position_ms" doc:"Where to go on"`
	WatchedMS       int64      `json:"watched_ms"`
	Percent         *int       `json:"percent,omitempty" doc:"The most that was ever watched; absent where the length is not known"`
	Intervals       []Interval `json:"intervals"`
	DurationMS      *int64     `json:"duration_ms,omitempty"`
	UpdatedAt       *time.Time `json:"updated_at,omitempty"`
	ProgressPending bool       `json:"progress_pending,omitempty" doc:"What was reported does not count yet: it will"`
}

func showWatch(v library.WatchView) Watch {
	out := Watch{
		ContentID: v.ContentID, Version: v.Number, PositionMS: v.PositionMS, WatchedMS: v.WatchedMS, DurationMS: v.DurationMS,
		ProgressPending: v.Pending, UpdatedAt: &v.ReportedAt, Intervals: []Interval{},
	}
	if v.Percent != nil {
		p := int(*v.Percent)
		out.Percent = &p
	}
	for _, i := range v.Watched() {
		out.Intervals = append(out.Intervals, Interval{FromMS: i.From, ToMS: i.To})
	}
	return out
}

type getWatchInput struct {
	web.ByID
	CourseID uuid.UUID `query:"course_id"`
}

func (a *API) getWatch(ctx context.Context, in *getWatchInput) (*web.Resource[Watch], error) {
	v, err := a.Library.Watching(ctx, web.Actor(ctx), in.ID, optional(in.CourseID))
	if err != nil {
		return nil, err
	}
	return web.Res(showWatch(v), 0), nil
}

type watchInput struct {
	web.ByID
	Body struct {
		CourseID     *uuid.UUID `json:"course_id,omitempty" doc:"The course in which it is watched; absent: any of mine that shows it"`
		Intervals    []Interval `json:"intervals" maxItems:"500" doc:"The parts that were played since the last report; taken as far as the time since then allows"`
		PositionMS   int64      `json:"position_ms" minimum:"0"`
		PlaybackRate float64    `json:"playback_rate,omitempty" minimum:"0.1" maximum:"4" doc:"How fast it was played at most; absent: 1"`
	}
}

func (a *API) watch(ctx context.Context, in *watchInput) (*web.Resource[Watch], error) {
	b := in.Body
	r := library.WatchReport{CourseID: b.CourseID, Position: b.PositionMS, Rate: b.PlaybackRate}
	if r.Rate == 0 {
		r.Rate = 1
	}
	for _, i := range b.Intervals {
		r.Intervals = append(r.Intervals, library.Interval{From: i.FromMS, To: i.ToMS})
	}
	v, err := a.Library.ReportWatched(ctx, web.Actor(ctx), in.ID, r)
	if err != nil {
		return nil, err
	}
	return web.Res(showWatch(v), 0), nil
}

const typeVTT = "text/vtt"

// Caption describes captions in a language.
type Caption struct {
	Language  string    `json:"language"`
	Cues      int       `json:"cues"`
	CreatedBy uuid.UUID `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showCaption(c library.Caption) Caption {
	return Caption{Language: c.Language, Cues: c.Cues, CreatedBy: c.CreatedBy, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

type captionInput struct {
	web.ByID
	Language string    `path:"lang" maxLength:"35"`
	CourseID uuid.UUID `query:"course_id"`
	Known    string    `header:"If-None-Match" doc:"The ETag you have: 304 if it is still current."`
}

func (a *API) getCaption(ctx context.Context, in *captionInput, w http.ResponseWriter, _ *http.Request) error {
	c, err := a.Library.Caption(ctx, web.Actor(ctx), in.ID, in.Language, optional(in.CourseID))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(c.Version))
	w.Header().Set("Content-Language", c.Language)
	if in.Known == web.ETag(c.Version) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", typeVTT+"; charset=utf-8")
	_, err = io.WriteString(w, c.VTT)
	return err
}

// putCaption takes the file as it is.
func (a *API) putCaption(w http.ResponseWriter, req *http.Request) error {
	id, err := uuid.Parse(web.PathParam(req, "id"))
	if err != nil {
		return apperr.NotFound("content")
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return apperr.Malformed("bad_body", "The body cannot be read.").With(err)
	}
	match := web.OptionalIfMatch{IfMatch: req.Header.Get("If-Match")}
	version, ok := match.Version()
	if match.IfMatch != "" && match.IfMatch != "*" && !ok {
		return apperr.VersionMismatch()
	}
	var wanted *int64
	if ok {
		wanted = &version
	}
	c, made, err := a.Library.PutCaption(req.Context(), web.Actor(req.Context()), id, web.PathParam(req, "lang"), string(raw), wanted)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(c.Version))
	status := http.StatusNoContent
	if made {
		status = http.StatusCreated
	}
	w.WriteHeader(status)
	return nil
}

type deleteCaptionInput struct {
	web.ByID
	web.OptionalIfMatch
	Language string `path:"lang" maxLength:"35"`
}

func (a *API) deleteCaption(ctx context.Context, in *deleteCaptionInput) (*web.Empty, error) {
	return nil, a.Library.DeleteCaption(ctx, web.Actor(ctx), in.ID, in.Language, wanted(&in.OptionalIfMatch))
}
