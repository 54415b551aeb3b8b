"""The pages for people, below ``/admin``: rendered here, through the services alone.

How to add a page
-----------------

1. A module a noun, as the API has it: ``endpoints.py`` with ``blp =
   Blueprint("endpoints", __name__)``, named in ``pages.NOUNS``.  Its views are then
   ``admin.endpoints.index`` and so on.  ``tenants.py`` is the model.
2. Paths: a tenant's pages are ``/tenants/<tenant_id>/<nouns>`` and below; forms of what
   is to be created ``/tenants/<tenant_id>/new/<noun>``, the platform's ``/new/<noun>``
   (a tenant may be called "new").
3. Every view says what it needs: ``@needs(Permission.READ)`` below the route.  Below
   ``/tenants/<tenant_id>`` the visitor's role in that tenant counts, and a tenant that
   they have no role in, or that does not exist, is the same 404; ``access.tenant()`` is
   its row. ``platform=True`` wants a role for all tenants.  A view without a
   declaration keeps the process from starting.
4. The navigation offers what ``navigation.TENANT`` and ``PLATFORM`` name, as soon as
   the view of that name exists: ``index`` is a noun's list, ``of_tenant`` a tenant's
   where the platform has one of its own.
5. A view reads its arguments, calls one service and renders: about ten lines.  Ids in
   paths are TypeIDs: ``ids.read(Kind.ENDPOINT, text)`` raises the NotFound that becomes
   the page 404.  Errors of the services become pages by themselves (``problems``).

Forms
-----

``forms.Form(Schema, request.form)`` reads what was sent by a marshmallow schema;
``form.submit(action)`` returns what the action made, or None after it has put what is
wrong next to its fields (``InvalidInput(field=...)``, ``Conflict``,
``PreconditionFailed``); then the view renders the form again with ``form.status``.
What worked is answered by a redirect (303) and a message: ``rendering.notify("success",
"Endpoint ... was created.")``.  What is shown once (a secret) is rendered at once
instead.

A form that creates something carries ``{{ once_field() }}`` (``forms.form(...,
once=True)``, ``ui.confirm(..., once=True)``); its view answers by ``once.answer`` with
a redirect, or by ``once.made`` with a page that shows a secret.  A double click or a
reload then makes it once, and both answers show it.

What was typed outlives the session: static/drafts.js keeps it in the tab while somebody
logs in again, for forms with ``data-draft`` (``forms.form`` has it).  Passwords are
never kept, nor what stands in an element with ``data-unkept``: give that to fields of
secrets, and to payloads.  Lines that a form repeats have ``data-line``.

In templates every ``<form method="post">`` has ``{{ csrf_field() }}`` in it
(``forms.form`` does that by itself); htmx sends the token in a header.  Without it
nothing is changed: 400. A form that edits carries what it was opened on (``seen``) and
hands the service a ``check``, so that nobody's change is lost.

Templates
---------

``layout.html`` is the frame, ``plain.html`` a page on its own.  ``macros/ui.html`` and
``macros/forms.html`` are the parts: heads, tables that become cards on a phone (give
each ``td`` its ``data-label``), states, empty lists that say what to do first, confirm
dialogs, filters, the way to the next page.  ``{{ at | moment }}`` shows a time, ``{{ id
| show_id("endpoint") }}`` an id, ``{{ icon("key") }}`` an icon of static/vendor/icons
(the others are in the npm package), ``may("operate", tenant.id)`` whether to offer
something. Text from outside is escaped; nothing is ever marked ``safe``.

``{{ text | visible }}`` names what cannot be seen in text from outside, such as marks
that turn its direction.  ``page_url("admin.deliveries.show", ...)`` is None as long as
there is no such page.  ``macros/charts.html`` draws what ``charts.outcomes``,
``charts.latency`` and ``charts.sparkline`` make of a ``Series``;
``endpoints/show.html`` is the model.

No inline script or style: the policy forbids both, ``style=`` and ``hx-on`` too.
Scripts are small files in static/, wanted by ``data-`` attributes, loaded by ``<script
src="{{ asset("x.js") }}" defer></script>`` in ``{% block head %}``; ``asset`` URLs
change with the file.  Widths that are data (bars) are SVG attributes.

Live parts: ``hx-get`` a route that renders a part of the page, with ``hx-trigger="every
5s"``; the same template is included by the page itself.  What has not changed is not
swapped.  An ended session sends the whole page to the login, a failed request shows a
message.

Lists: ``lists.page(fetch, read=..., cursor=...)`` by keyset and
``ui.pagination(page)``.

The audit log
-------------

Services write it (``uow.audit.record``); entry points only say who acts
(``services.acting``), which ``access.check`` has done for every view.  A page, or a
live part of one, that shows no payload asks for ``deliveries.get(..., opened=False)``,
or it would write down a look with every refresh.
"""
