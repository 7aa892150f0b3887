package main

import (
	analytics "lms/apps/analytics/entry"
	assignment "lms/apps/assignment/entry"
	auth "lms/apps/auth/entry"
	content "lms/apps/content/entry"
	course "lms/apps/course/entry"
	enrollment "lms/apps/enrollment/entry"
	gateway "lms/apps/gateway/entry"
	notification "lms/apps/notification/entry"
	payment "lms/apps/payment/entry"
	search "lms/apps/search/entry"
	user "lms/apps/user/entry"
)

// carried are the services that are in this program too. Started under the name
// of one of them it is that service: all services of an installation, its broker
// and its supervisor then run one file, whose pages they share in memory. Each
// service remains a program of its own as well (apps/<service>).
func carried() map[string]func() {
	return map[string]func(){
		"user": user.Main, "auth": auth.Main, "course": course.Main, "enrollment": enrollment.Main,
		"content": content.Main, "assignment": assignment.Main, "notification": notification.Main, "payment": payment.Main,
		"search": search.Main, "analytics": analytics.Main,
		"gateway": gateway.Main,
	}
}
