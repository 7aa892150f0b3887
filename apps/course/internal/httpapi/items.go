package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

type listItemsInput struct {
	web.ByID
	web.Page
	ModuleID uuid.UUID `path:"module_id"`
}

func (a *API) listItems(ctx context.Context, in *listItemsInput) (*web.List[Item], error) {
	m, version, err := a.Service.Module(ctx, web.Actor(ctx), in.ID, in.ModuleID)
	if err != nil {
		return nil, err
	}
	p, err := cut(m.Items, in.Page)
	out := web.ListOf(p, showItem)
	out.ETag = web.ETag(version)
	return out, err
}

type itemInput struct {
	web.ByID
	ModuleID uuid.UUID `path:"module_id"`
	ItemID   uuid.UUID `path:"item_id"`
}

func (a *API) getItem(ctx context.Context, in *itemInput) (*web.Resource[Item], error) {
	i, version, err := a.Service.Item(ctx, web.Actor(ctx), in.ID, in.ModuleID, in.ItemID)
	if err != nil {
		return nil, err
	}
	return web.Res(showItem(i), version), nil
}

type addItemInput struct {
	web.ByID
	web.OptionalIfMatch
	ModuleID uuid.UUID `path:"module_id"`
	Body     struct {
		Kind        string       `json:"kind" enum:"content,quiz,assignment,link,page"`
		Title       string       `json:"title"`
		Published   *bool        `json:"published,omitempty" default:"true"`
		ResourceID  *uuid.UUID   `json:"resource_id,omitempty"`
		URL         string       `json:"url,omitempty"`
		Body        *string      `json:"body,omitempty"`
		UnlockAt    *time.Time   `json:"unlock_at,omitempty"`
		Requirement *Requirement `json:"requirement,omitempty"`
		Position    *int         `json:"position,omitempty" minimum:"0" doc:"0 is the first; absent: the end"`
	}
}

func (a *API) addItem(ctx context.Context, in *addItemInput) (*web.Resource[Item], error) {
	var f apperr.Fields
	b := in.Body
	d := ItemInput{
		Kind: b.Kind, Title: b.Title, Published: b.Published, ResourceID: b.ResourceID, URL: b.URL, Body: b.Body,
		UnlockAt: b.UnlockAt, Requirement: b.Requirement,
	}.draft(&f, "")
	if err := f.Err(); err != nil {
		return nil, err
	}
	out, err := a.Service.AddItem(ctx, web.Actor(ctx), in.ID, in.ModuleID, wanted(&in.OptionalIfMatch), d, b.Position)
	if err != nil {
		return nil, err
	}
	at := "/api/v1/courses/" + in.ID.String() + "/modules/" + in.ModuleID.String() + "/items/" + out.Item.ID.String()
	return web.Created(showItem(*out.Item), out.Version, at), nil
}

type updateItemInput struct {
	web.ByID
	web.IfMatch
	ModuleID uuid.UUID `path:"module_id"`
	ItemID   uuid.UUID `path:"item_id"`
	Body     struct {
		Title       patch.Field[string]      `json:"title"`
		Published   patch.Field[bool]        `json:"published"`
		ResourceID  patch.Field[uuid.UUID]   `json:"resource_id"`
		URL         patch.Field[string]      `json:"url"`
		Body        patch.Field[string]      `json:"body"`
		UnlockAt    patch.Field[time.Time]   `json:"unlock_at"`
		Requirement patch.Field[Requirement] `json:"requirement" doc:"Replaced as a whole; null: nothing is asked for"`
		ModuleID    patch.Field[uuid.UUID]   `json:"module_id" doc:"Move it there"`
		Position    patch.Field[int]         `json:"position"`
	}
}

func (a *API) updateItem(ctx context.Context, in *updateItemInput) (*web.Resource[Item], error) {
	b := in.Body
	var f apperr.Fields
	var position *int
	var target *uuid.UUID
	b.Position.ApplyPtr(&position)
	b.ModuleID.ApplyPtr(&target)
	var requirement *catalog.Requirement
	if b.Requirement.Set && !b.Requirement.Null {
		requirement = b.Requirement.Value.domain(&f, "")
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	out, err := a.Service.EditItem(ctx, web.Actor(ctx), in.ID, in.ModuleID, in.ItemID, required(&in.IfMatch), target, position, func(i *catalog.Item) {
		if b.Title.Apply(&i.Title) {
			i.Title = strings.TrimSpace(i.Title)
		}
		b.Published.Apply(&i.Published)
		b.ResourceID.ApplyPtr(&i.ResourceID)
		if b.URL.Apply(&i.URL) {
			i.URL = strings.TrimSpace(i.URL)
		}
		if b.Body.Set {
			i.Body = &b.Body.Value
		}
		b.UnlockAt.ApplyPtr(&i.UnlockAt)
		if b.Requirement.Set {
			i.Requirement = requirement
		}
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showItem(*out.Item), out.Version), nil
}

type removeItemInput struct {
	web.ByID
	web.IfMatch
	ModuleID uuid.UUID `path:"module_id"`
	ItemID   uuid.UUID `path:"item_id"`
}

func (a *API) removeItem(ctx context.Context, in *removeItemInput) (*web.Empty, error) {
	_, err := a.Service.RemoveItem(ctx, web.Actor(ctx), in.ID, in.ModuleID, in.ItemID, required(&in.IfMatch))
	return nil, err
}

type orderItemsInput struct {
	web.ByID
	web.OptionalIfMatch
	ModuleID uuid.UUID `path:"module_id"`
	Body     struct {
		ItemIDs []uuid.UUID `json:"item_ids" maxItems:"2000" doc:"Every item of the module, once, in the new order"`
	}
}

func (a *API) orderItems(ctx context.Context, in *orderItemsInput) (*web.Resource[Changed], error) {
	out, err := a.Service.OrderItems(ctx, web.Actor(ctx), in.ID, in.ModuleID, wanted(&in.OptionalIfMatch), in.Body.ItemIDs)
	if err != nil {
		return nil, err
	}
	return changed(in.ID, out), nil
}
