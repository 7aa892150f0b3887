window.addEventListener("load", function () {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
    queryConfigEnabled: false,
    tagsSorter: "alpha",
  });
});
