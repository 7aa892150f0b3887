package library

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Caption are the captions of a recording in one language, as WebVTT.
type Caption struct {
	ContentID uuid.UUID
	TenantID  uuid.UUID
	Language  string
	VTT       string
	// Text is the words alone.
	Text      string
	Cues      int
	CreatedBy uuid.UUID
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// Bounds of captions.
const (
	MaxCaptionBytes = 512 << 10
	MaxCues         = 20_000
	MaxCaptions     = 100 // languages of a content
	maxNamedErrors  = 20
)

var (
	cueTiming = regexp.MustCompile(`^(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})[ \t]+-->[ \t]+(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})(?:[ \t]+\S.*)?$`)
	cueMarkup = regexp.MustCompile(`<[^>]*>`)
)

// parseVTT checks WebVTT, tells what is wrong with line numbers, and gives the
// words and the number of cues.
func parseVTT(raw string) (text string, cues int, err error) {
	var f apperr.Fields
	wrong := func(line int, code, message string) {
		if len(f) < maxNamedErrors {
			f.Add("line "+strconv.Itoa(line), code, message)
		}
	}
	if len(raw) > MaxCaptionBytes {
		return "", 0, apperr.New(apperr.KindTooLarge, "captions_too_large", "At most 512 KiB.")
	}
	if !utf8.ValidString(raw) || strings.ContainsRune(raw, 0) {
		wrong(1, "encoding", "Captions are UTF-8.")
		return "", 0, f.Err()
	}
	raw = strings.TrimPrefix(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(raw), "\ufeff")
	lines := strings.Split(raw, "\n")
	if first := lines[0]; first != "WEBVTT" && !strings.HasPrefix(first, "WEBVTT ") && !strings.HasPrefix(first, "WEBVTT\t") {
		wrong(1, "signature", "The first line must be WEBVTT.")
		return "", 0, f.Err()
	}
	var words strings.Builder
	var last int64
	for i := 1; i < len(lines); i++ {
		if !strings.Contains(lines[i], "-->") {
			continue
		}
		from, to, ok := timing(lines[i])
		switch {
		case !ok:
			wrong(i+1, "timing", "A timing such as 00:01.000 --> 00:03.500.")
		case to <= from:
			wrong(i+1, "order", "A cue ends after it begins.")
		case from < last:
			wrong(i+1, "order", "Cues are in the order of their beginnings.")
		default:
			last = from
		}
		cues++
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
			if strings.Contains(lines[i], "-->") {
				wrong(i+1, "separator", "A blank line must stand between two cues.")
				break
			}
			words.WriteString(html.UnescapeString(cueMarkup.ReplaceAllString(lines[i], "")) + "\n")
		}
	}
	if cues == 0 && len(f) == 0 {
		wrong(1, "empty", "There is no cue.")
	}
	if cues > MaxCues {
		wrong(1, "too_many", fmt.Sprintf("At most %d cues.", MaxCues))
	}
	return strings.TrimSpace(words.String()), cues, f.Err()
}

// timing reads the line of a cue, in milliseconds.
func timing(line string) (from, to int64, ok bool) {
	m := cueTiming.FindStringSubmatch(line)
	if m == nil {
		return 0, 0, false
	}
	at := func(p []string) (ms int64) {
		for i, unit := range []int64{3_600_000, 60_000, 1000, 1} {
			n, err := strconv.ParseInt("0"+p[i], 10, 32)
			if err != nil {
				return -1
			}
			ms += n * unit
		}
		return ms
	}
	from, to = at(m[1:5]), at(m[5:9])
	return from, to, from >= 0 && to >= 0
}

// PutCaption gives a recording captions in a language, or replaces them. version
// guards against overwriting what the caller has not seen.
func (s *Service) PutCaption(ctx context.Context, actor authz.Principal, id uuid.UUID, language, vtt string, version *int64) (Caption, bool, error) {
	view, err := s.change(ctx, actor, id, nil, "content.caption", updated, func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error) {
		if !recording(c.Kind) {
			return nil, apperr.Conflict("not_a_recording", "Only a video or audio has captions.")
		}
		if !languagePattern.MatchString(language) {
			return nil, apperr.Invalid(apperr.Field{Path: "lang", Code: "pattern", Message: "A language tag such as en or pt-BR."})
		}
		text, cues, err := parseVTT(vtt)
		if err != nil {
			return nil, err
		}
		known, err := tx.Captions(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		now := s.Now()
		out := Caption{ContentID: c.ID, TenantID: c.TenantID, Language: language, VTT: vtt, Text: text, Cues: cues, CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1}
		made := true
		for _, k := range known {
			if k.Language == language {
				made = false
				out.CreatedAt, out.Version = k.CreatedAt, k.Version+1
				if err := checkVersion(version, k.Version); err != nil {
					return nil, err
				}
			}
		}
		if made && version != nil {
			return nil, apperr.VersionMismatch()
		}
		if made && len(known) >= MaxCaptions {
			return nil, apperr.Conflict("too_many_captions", "A content has captions in at most 100 languages.")
		}
		return map[string]work.Change{"captions": {To: language}}, tx.PutCaption(ctx, out)
	})
	if err != nil {
		return Caption{}, false, err
	}
	// What is answered is the kept view, so that a repeated request is told the same.
	for _, k := range view.Captions {
		if k.Language == language {
			return k, k.Version == 1, nil
		}
	}
	return Caption{}, false, apperr.NotFound("captions")
}

// DeleteCaption takes captions away.
func (s *Service) DeleteCaption(ctx context.Context, actor authz.Principal, id uuid.UUID, language string, version *int64) error {
	_, err := s.change(ctx, actor, id, nil, "content.caption_delete", updated, func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error) {
		known, err := tx.Caption(ctx, c.ID, language)
		if err != nil {
			return nil, err
		}
		if err := checkVersion(version, known.Version); err != nil {
			return nil, err
		}
		return map[string]work.Change{"captions": {From: language}}, tx.DeleteCaption(ctx, c.ID, language)
	})
	return err
}

// Caption are the captions in a language, for who may see the content.
func (s *Service) Caption(ctx context.Context, actor authz.Principal, id uuid.UUID, language string, course *uuid.UUID) (Caption, error) {
	policy, c, err := s.find(ctx, id)
	if err != nil {
		return Caption{}, err
	}
	if _, err := s.sees(ctx, actor, policy, c, course, false); err != nil {
		return Caption{}, err
	}
	var out Caption
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.Caption(ctx, id, language)
		return err
	})
	return out, err
}

// textOf is what a search should find of a content.
func textOf(v *Version, captions []Caption) (languages []string, text string) {
	var b strings.Builder
	if v != nil {
		b.WriteString(v.Text)
	}
	languages = make([]string, len(captions))
	for i, c := range captions {
		languages[i] = c.Language
		if b.Len() > 0 && c.Text != "" {
			b.WriteByte('\n')
		}
		b.WriteString(c.Text)
	}
	text, _ = cut(b.String(), maxWholeText)
	return languages, text
}

func jsonSize(text string) (n int) {
	for _, r := range text {
		n += jsonBytes(r)
	}
	return n
}

// Document is a content as others copy it: the snapshot with all of its text, and
// the number of the newest event that it includes.
type Document struct {
	State events.ContentState
	// Text is all of it; State.Text may be cut.
	Text string
	Seq  int64
}

// Document is one of them, deleted ones included.
func (s *Service) Document(ctx context.Context, id uuid.UUID) (out Document, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		c, err := tx.AnyContent(ctx, id)
		if err != nil {
			return err
		}
		out, err = s.document(ctx, tx, c)
		return err
	})
	return out, err
}

// Bounds of what is said to others at once, in bytes of JSON: a sidecar takes at
// most 4 MiB.
const (
	maxPageText  = 2 << 20
	maxWholeText = 1536 << 10
)

// Documents are contents by id, deleted ones included; more says that there are
// others. A page ends early where its texts are large.
func (s *Service) Documents(ctx context.Context, after uuid.UUID, since *time.Time, limit int) (out []Document, more bool, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		list, err := tx.ContentsAfter(ctx, after, since, limit+1)
		if err != nil {
			return err
		}
		size := 0
		for i, c := range list {
			if i == limit || size > maxPageText {
				more = true
				break
			}
			d, err := s.document(ctx, tx, c)
			if err != nil {
				return err
			}
			size += jsonSize(d.Text)
			out = append(out, d)
		}
		return nil
	})
	return out, more, err
}

func (s *Service) document(ctx context.Context, tx Tx, c Content) (Document, error) {
	st, text, err := s.snapshot(ctx, tx, c)
	if err != nil {
		return Document{}, err
	}
	seq, err := tx.EventSeq(ctx, c.ID)
	return Document{State: st, Text: text, Seq: seq}, err
}
