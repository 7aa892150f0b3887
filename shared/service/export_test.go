package service

import "lms/shared/web"

// RunTo is Run with a writer for the logs.
var RunTo = run

// MountRecords adds what every service with a database serves of its jobs and its
// audit, for a look at the declarations.
func MountRecords(r *web.Router, name string) { (&Kit{Name: name, Web: r}).recordRoutes() }
