"use strict";
// The front page asks for the token once and keeps it in this tab; without one, that is where to go.
const token = () => sessionStorage.getItem("tickloom-token");
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  requestInterceptor: (request) => {
    if (token() && new URL(request.url, location.href).origin === location.origin)
      request.headers.Authorization = `Bearer ${token()}`;
    return request;
  },
  responseInterceptor: (response) => {
    if (response.status === 401 && response.url.endsWith("/openapi.json")) location.replace("/");
    return response;
  },
});
