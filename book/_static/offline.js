// Pages that are opened as files may not fetch others, so results of the search come without their excerpts there.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
