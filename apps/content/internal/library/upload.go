package library

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Bounds of uploads.
const (
	// PieceThreshold is the size above which a file is sent in pieces, and above
	// which it is verified in the background.
	PieceThreshold = 64 << 20
	// PieceSize is the size of every piece but the last.
	PieceSize = 16 << 20
	// AddressLife is how long a signed address of an upload is good.
	AddressLife = time.Hour
	// UploadLife is how long an upload may take.
	UploadLife = 24 * time.Hour
	// KeepUploads is how long one that is over can be asked for.
	KeepUploads = 7 * 24 * time.Hour
	// MaxOpenUploads of one person at a time.
	MaxOpenUploads = 100
	// MaxAddresses is how many pieces one answer has signed addresses for.
	MaxAddresses = 50
	maxFilename  = 255
)

// States of an upload.
const (
	UploadOpen      = "open"
	UploadVerifying = "verifying"
	UploadCompleted = "completed"
	UploadRejected  = "rejected"
	UploadAborted   = "aborted"
	UploadExpired   = "expired"
)

// Codes of a rejected upload.
const (
	RejectedSize     = "size_mismatch"
	RejectedChecksum = "checksum_mismatch"
	RejectedType     = "content_type_mismatch"
	RejectedArchive  = "archive_unsafe"
)

// Upload is a file on its way into a content.
type Upload struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	ContentID uuid.UUID
	OwnerID   uuid.UUID
	// Rendition is the label of the rendition that it becomes, "" for a version.
	Rendition string
	Filename  string
	MediaType string
	Size      int64
	SHA256    string
	// InboxKey is where the client sends it, Key where it stays, out of reach.
	InboxKey string
	Key      string
	// PartSize is 0 for an upload in one piece.
	PartSize    int64
	Token       string
	State       string
	LeasedUntil *time.Time
	// Code says why it was rejected, Found what type the bytes are.
	Code  string
	Found string
	// Number is the version that it became.
	Number *int
	// TransferID is the course import that brought it, if any, and waits to hear
	// what became of it. Publish publishes the content with its first version.
	TransferID *uuid.UUID
	Publish    bool
	CreatedAt  time.Time
	ExpiresAt  time.Time
	FinishedAt *time.Time
}

// Pieces is the number of pieces; 0 for an upload in one piece.
func (u Upload) Pieces() int {
	if u.PartSize == 0 {
		return 0
	}
	return int((u.Size + u.PartSize - 1) / u.PartSize)
}

// PieceBytes is the size of a piece, from 1.
func (u Upload) PieceBytes(number int) int64 {
	return min(u.PartSize, u.Size-int64(number-1)*u.PartSize)
}

// kindRule says what a file of a kind of content may be.
type kindRule struct {
	types []string
	most  int64
}

const (
	officePrefix = "application/vnd.openxmlformats-officedocument."
	oasisPrefix  = "application/vnd.oasis.opendocument."
)

// ruleOf is the rule of a kind; a page has no file.
func ruleOf(kind string) (kindRule, bool) {
	switch kind {
	case events.ContentVideo:
		return kindRule{types: []string{"video/mp4", "video/webm", "video/quicktime", "video/x-m4v", "video/x-matroska", "video/ogg"}, most: 5 << 30}, true
	case events.ContentAudio:
		return kindRule{types: []string{"audio/mpeg", "audio/mp4", "audio/x-m4a", "audio/ogg", "audio/wav", "audio/flac", "audio/aac", "audio/webm"}, most: 1 << 30}, true
	case events.ContentPDF:
		return kindRule{types: []string{"application/pdf"}, most: 512 << 20}, true
	case events.ContentImage:
		return kindRule{types: []string{"image/png", "image/jpeg", "image/gif", "image/webp"}, most: 50 << 20}, true
	case events.ContentDocument:
		return kindRule{types: []string{
			officePrefix + "wordprocessingml.document", officePrefix + "presentationml.presentation", officePrefix + "spreadsheetml.sheet",
			oasisPrefix + "text", oasisPrefix + "presentation", oasisPrefix + "spreadsheet",
			"application/epub+zip", "application/zip", "text/plain", "text/csv", "text/markdown", "text/rtf",
			"application/msword", "application/vnd.ms-powerpoint", "application/vnd.ms-excel",
		}, most: 512 << 20}, true
	}
	return kindRule{}, false
}

// kindOf is the kind of a content that a file of a type becomes; "" for none.
func kindOf(mediaType string) string {
	for _, kind := range Kinds {
		if rule, ok := ruleOf(kind); ok && slices.Contains(rule.types, mediaType) {
			return kind
		}
	}
	return ""
}

// MediaTypes are the types that a file of a kind may have; none for a page.
func MediaTypes(kind string) []string {
	rule, _ := ruleOf(kind)
	return rule.types
}

var (
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	labelPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)
)

// check tells everything that is wrong with an announcement.
func (u Upload) check(kind string) error {
	rule, ok := ruleOf(kind)
	if !ok {
		return apperr.Conflict("no_file", "A page has a text and no file.")
	}
	var f apperr.Fields
	checkText(&f, "filename", u.Filename, 1, maxFilename)
	f.Require(u.Filename == path.Base(u.Filename) && !strings.ContainsAny(u.Filename, "\\\r\n\t") && u.Filename != "." && u.Filename != "..",
		"filename", "pattern", "A name without folders.")
	f.Require(sha256Pattern.MatchString(u.SHA256), "sha256", "pattern", "64 hexadecimal digits in lower case.")
	f.Require(u.Size > 0, "size", "range", "At least 1 byte.")
	f.Require(u.Rendition == "" || labelPattern.MatchString(u.Rendition) && (kind == events.ContentVideo || kind == events.ContentAudio),
		"rendition", "pattern", "A label such as 720p, of a video or audio.")
	if err := f.Err(); err != nil {
		return err
	}
	if u.Size > rule.most {
		return apperr.New(apperr.KindTooLarge, "file_too_large", "A file of this kind may not be so large.").Detail("max_size", rule.most)
	}
	if !slices.Contains(rule.types, u.MediaType) {
		return apperr.New(apperr.KindUnsupportedMedia, "media_type_not_allowed", "A content of this kind cannot be of this type.").Detail("media_types", rule.types)
	}
	return nil
}

// fits says whether bytes that show one type may be announced as another: a
// container or plain text can be several things; anything else is what it shows.
func fits(announced, shown string) bool {
	if announced == shown {
		return true
	}
	for _, family := range [][]string{
		{"video/mp4", "video/quicktime", "video/x-m4v", "audio/mp4", "audio/x-m4a"},
		{"video/webm", "video/x-matroska", "audio/webm"},
		{"video/ogg", "audio/ogg", "application/ogg"},
		{"text/plain", "text/csv", "text/markdown", "text/tab-separated-values"},
		{"audio/wav", "audio/x-wav"},
		// The old office formats share a container that does not say which.
		{"application/msword", "application/vnd.ms-powerpoint", "application/vnd.ms-excel", "application/x-ole-storage"},
	} {
		if slices.Contains(family, announced) && slices.Contains(family, shown) {
			return true
		}
	}
	return false
}

// zipped are the types that are archives.
func zipped(mediaType string) bool {
	return mediaType == "application/zip" || mediaType == "application/epub+zip" || strings.HasPrefix(mediaType, officePrefix) || strings.HasPrefix(mediaType, oasisPrefix)
}

// rejection is the answer to whoever completes an upload that was rejected.
func (u Upload) rejection() error {
	message := map[string]string{
		RejectedSize:     "The stored file does not have the announced size.",
		RejectedChecksum: "The stored bytes are not those that were announced.",
		RejectedType:     "The file is not what it was announced to be.",
		RejectedArchive:  "The archive cannot be taken: it is broken, or would become too large when opened.",
	}[u.Code]
	e := apperr.New(apperr.KindInvalid, u.Code, message+" Nothing of it was kept; start a new upload.")
	if u.Found != "" {
		e = e.Detail("announced", u.MediaType).Detail("found", u.Found)
	}
	return e
}

func (u Upload) audit(action string, c Content, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "upload", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: c.OrgUnitID, Changes: changes,
	}
}

// Rendition is another encoding of a version, such as a smaller one.
type Rendition struct {
	ContentID uuid.UUID
	TenantID  uuid.UUID
	Number    int
	Label     string
	Key       string
	Filename  string
	MediaType string
	Size      int64
	SHA256    string
	Width     *int
	Height    *int
	// DurationMS is that of this encoding.
	DurationMS *int64
	CreatedBy  uuid.UUID
	CreatedAt  time.Time
}

// Discarded is an object that must leave the store. Token is of its pieces.
type Discarded struct {
	Key      string
	TenantID uuid.UUID
	Token    string
	DueAt    time.Time
	// Until no address may be good any more by which it could come back.
	Until time.Time
}
