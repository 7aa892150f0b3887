package service

// RunTo is Run with a writer for the logs.
var RunTo = run
