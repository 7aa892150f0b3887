package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/web"
)

func (a *API) internalRoutes(r *web.Router) {
	op := operation("Internal")
	web.Register(r, op(http.MethodGet, internalapi.PathCourse, "internal-course", "All that is known of a course", web.Internal("enrollment", "notification", "payment", "search")), a.wholeCourse)
	web.Register(r, op(http.MethodGet, internalapi.PathCourses, "internal-courses", "Every course, page by page", web.Internal("search")), a.allCourses)
	web.Register(r, op(http.MethodGet, internalapi.PathResourceUsages, "internal-resource-usages", "Where a resource is placed", web.Internal("content", "assignment")), a.usages)
}

func document(c catalog.CourseWithSeq) internalapi.CourseDocument {
	return internalapi.CourseDocument{Course: c.Course, Curriculum: c.Curriculum, Seq: c.Seq}
}

func (a *API) wholeCourse(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.CourseDocument], error) {
	c, err := a.Service.Whole(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(document(c), 0), nil
}

type allCoursesInput struct {
	web.Page
	UpdatedSince time.Time `query:"updated_since"`
}

func (a *API) allCourses(ctx context.Context, in *allCoursesInput) (*web.Resource[internalapi.CoursePage], error) {
	var after uuid.UUID
	if _, err := page.Decode(in.Cursor, &after); err != nil {
		return nil, err
	}
	var since *time.Time
	if !in.UpdatedSince.IsZero() {
		since = &in.UpdatedSince
	}
	courses, more, err := a.Service.AllCourses(ctx, after, since, in.Request().Size())
	if err != nil {
		return nil, err
	}
	out := internalapi.CoursePage{Items: make([]internalapi.CourseDocument, len(courses))}
	for i, c := range courses {
		out.Items[i] = document(c)
	}
	if more {
		out.NextCursor = page.Encode(courses[len(courses)-1].Course.ID)
	}
	return web.Res(out, 0), nil
}

func (a *API) usages(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.ResourceUsages], error) {
	list, err := a.Service.Usages(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := internalapi.ResourceUsages{ResourceID: in.ID, Usages: make([]internalapi.ResourceUsage, len(list))}
	for i, u := range list {
		out.Usages[i] = internalapi.ResourceUsage{
			CourseID: u.CourseID, CourseTitle: u.CourseTitle, CourseStatus: u.CourseStatus,
			ModuleID: u.ModuleID, ItemID: u.ItemID, ItemTitle: u.ItemTitle, PlacedAt: u.PlacedAt,
		}
	}
	return web.Res(out, 0), nil
}
