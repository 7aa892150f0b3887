package service_test

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"lms/shared/pg"
	"lms/shared/service"
	"lms/shared/web"
	"lms/shared/work"
)

type greeting struct {
	ID   uuid.UUID `json:"id"`
	Text string    `json:"text"`
}

type newGreeting struct {
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"200"`
	}
}

const insertGreetingSQL = `insert into greeting (id, tenant_id, text) values ($1, $2, $3)`

func build(_ context.Context, k *service.Kit) error {
	var cfg struct {
		Prefix string `default:"Hello, " desc:"begins every greeting"` // LMS_GREETER_PREFIX
	}
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	web.Register(k.Web, web.Op{
		Method: http.MethodPost, Path: "/api/v1/greetings", ID: "create-greeting", Summary: "Greet somebody",
		Status: http.StatusCreated, Access: web.SignedIn(),
	}, func(ctx context.Context, in *newGreeting) (*web.Resource[greeting], error) {
		actor := web.Actor(ctx)
		g := greeting{ID: k.NewID(), Text: cfg.Prefix + in.Body.Text}
		err := k.DB.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, u *pg.Unit) error {
			return u.Once(ctx, &g, func() error {
				_, err := pg.Exec(ctx, u, insertGreetingSQL, g.ID, actor.TenantID, g.Text)
				return err
			})
		})
		return web.Created(g, 0, "/api/v1/greetings/"+g.ID.String()), err
	})
	return nil
}

func Example() {
	service.Main("greeter", build)
}
