// In a file of its own, because the page's policy forbids scripts within it.
window.SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  // Otherwise the description would be sent to a validator on the internet.
  validatorUrl: null,
  // A key typed in is forgotten with the page.
  persistAuthorization: false,
});
