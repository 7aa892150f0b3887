package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/objects"
	"lms/shared/web"
	"lms/shared/work"
)

const importUsers = base + "/imports/users"

func (a *API) importRoutes(r *web.Router) {
	op := operation("Import and export")
	imports := web.Needs(authz.UserImport)
	web.Register(r, created(op(http.MethodPost, importUsers+"/uploads", "create-user-import-upload", "Get a signed address to upload a file of people to", imports)), a.createUpload)
	start := accepted(op(http.MethodPost, importUsers, "import-users", "Import people from a file, in the background", imports))
	start.Description = "The file is plain CSV, or a OneRoster 1.1 or 1.2 package of CSV files (zip). A file of at most 1 MiB may be the body itself, with the settings in the query; a larger one is uploaded first and named by upload_id in a JSON body with the same settings. Importing the same file again makes nothing twice. The job's rows report what became of each line."
	start.MaxBody, start.Accepts, start.Produces = identity.MaxDirectImport, []string{"application/json", "text/csv", "application/zip"}, []string{"application/json"}
	start.Params, start.Timeout = importParams(), slow
	web.Raw(r, start, a.importUsers)
}

type createUploadInput struct {
	Body struct {
		Filename string `json:"filename" maxLength:"255"`
		Size     int64  `json:"size" minimum:"1" doc:"In bytes; at most 256 MiB"`
		SHA256   string `json:"sha256" minLength:"64" maxLength:"64" doc:"Of the file, in lower-case hexadecimal digits"`
	}
}

// Upload says how to send a file.
type Upload struct {
	ID     uuid.UUID      `json:"id"`
	Upload objects.Signed `json:"upload" doc:"Make exactly this request with the file as its body"`
}

const (
	uploadLife = time.Hour
	binary     = "application/octet-stream"
)

func uploadKey(u identity.Upload) string { return objects.Key(u.TenantID, "imports", u.ID, "people") }

// createUpload signs the address anew for a repeated request: what is kept is
// the upload, not the address.
func (a *API) createUpload(ctx context.Context, in *createUploadInput) (*web.Resource[Upload], error) {
	if a.Uploads == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be taken at the moment.")
	}
	u, err := a.Service.CreateUpload(ctx, web.Actor(ctx), identity.Upload{Filename: in.Body.Filename, Size: in.Body.Size, SHA256: in.Body.SHA256}, uploadKey)
	if err != nil {
		return nil, err
	}
	signed, err := a.Uploads.PresignPut(ctx, u.Key, u.Size, binary, u.SHA256, uploadLife)
	if err != nil {
		return nil, err
	}
	return web.Created(Upload{ID: u.ID, Upload: signed}, 0, ""), nil
}

// importSettings are the settings of an import, in the query or in the body.
type importSettings struct {
	UploadID        uuid.UUID `json:"upload_id"`
	OrgUnitID       uuid.UUID `json:"org_unit_id"`
	Source          string    `json:"source"`
	DryRun          bool      `json:"dry_run"`
	Update          *bool     `json:"update"`
	GrantRoles      bool      `json:"grant_roles"`
	SendInvitations bool      `json:"send_invitations"`
}

// defaultSource names external ids of a file whose source nobody named.
const defaultSource = "import"

func (s importSettings) options() identity.ImportOptions {
	o := identity.ImportOptions{
		OrgUnitID: s.OrgUnitID, Source: s.Source, DryRun: s.DryRun, Update: true, GrantRoles: s.GrantRoles, SendInvitations: s.SendInvitations,
	}
	if o.Source == "" {
		o.Source = defaultSource
	}
	if s.Update != nil {
		o.Update = *s.Update
	}
	return o
}

func importParams() []*huma.Param {
	param := func(name, kind, format, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: kind, Format: format}}
	}
	return []*huma.Param{
		param("org_unit_id", huma.TypeString, "uuid", "Where people and org units go, unless the file says"),
		param("source", huma.TypeString, "", `Of the file's external ids: "sis"; absent: "import"`),
		param("dry_run", huma.TypeBoolean, "", "Only report what would be done"),
		param("update", huma.TypeBoolean, "", "Change accounts that are there already; absent: true"),
		param("grant_roles", huma.TypeBoolean, "", "Give the roles that the file names, as far as the caller may"),
		param("send_invitations", huma.TypeBoolean, "", "Write to new people"),
		param("filename", huma.TypeString, "", "For the audit trail"),
	}
}

func (a *API) importUsers(w http.ResponseWriter, req *http.Request) error {
	ctx := req.Context()
	content, err := readBody(req)
	if err != nil {
		return err
	}
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	var s importSettings
	if strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		s, err = settingsInBody(content)
	} else {
		s, err = a.direct(ctx, req.URL.Query(), content)
	}
	if err != nil {
		return err
	}
	job, err := a.Service.StartImport(ctx, web.Actor(ctx), s.UploadID, s.options())
	if err != nil {
		return err
	}
	w.Header().Set("Location", base+"/jobs/user/"+job.ID.String())
	return writeJSON(w, http.StatusAccepted, job)
}

func readBody(req *http.Request) ([]byte, error) {
	content, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, apperr.Malformed("body_unreadable", "The body could not be read.").With(err)
	}
	if len(content) == 0 {
		return nil, apperr.Malformed("body_required", "The request needs a body.")
	}
	return content, nil
}

// settingsInBody reads the settings of a file that was uploaded before, as
// strictly as any other body.
func settingsInBody(content []byte) (s importSettings, err error) {
	if err := web.CheckJSON(content); err != nil {
		return s, err
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, apperr.Malformed("invalid_body", "The body is not the settings of an import.").With(err)
	}
	var f apperr.Fields
	f.Require(s.UploadID != uuid.Nil, "upload_id", "required", "Name the upload, or send the file itself as text/csv or application/zip.")
	f.Require(s.OrgUnitID != uuid.Nil, "org_unit_id", "required", "Say where people go.")
	return s, f.Err()
}

// settingsInQuery reads the settings of a file that is the body.
func settingsInQuery(q url.Values) (s importSettings, err error) {
	var f apperr.Fields
	flag := func(name string) bool {
		if !q.Has(name) {
			return false
		}
		v, err := strconv.ParseBool(q.Get(name))
		f.Require(err == nil, "query."+name, "invalid_type", "Must be true or false.")
		return v
	}
	if s.OrgUnitID, err = uuid.Parse(q.Get("org_unit_id")); err != nil {
		f.Add("query.org_unit_id", "required", "Say where people go.")
	}
	s.Source, s.DryRun, s.GrantRoles, s.SendInvitations = q.Get("source"), flag("dry_run"), flag("grant_roles"), flag("send_invitations")
	if q.Has("update") {
		update := flag("update")
		s.Update = &update
	}
	return s, f.Err()
}

// direct keeps a file that is the body itself, as if it had been uploaded.
func (a *API) direct(ctx context.Context, q url.Values, content []byte) (importSettings, error) {
	s, err := settingsInQuery(q)
	if err != nil {
		return s, err
	}
	sum := sha256.Sum256(content)
	in := identity.Upload{Filename: q.Get("filename"), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	// The key of the request is kept with the job; the upload has one beside it,
	// so that a repeated request finds both again.
	own := ctx
	if key, ok := work.IdempotencyFrom(ctx); ok {
		key.Route += " upload"
		own = work.WithIdempotency(ctx, key)
	}
	u, err := a.Service.CreateUpload(own, web.Actor(ctx), in, uploadKey)
	if err != nil {
		return s, err
	}
	s.UploadID = u.ID
	return s, a.Service.Files.Put(ctx, u.Key, binary, content)
}
