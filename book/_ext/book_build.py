"""Repairs to the way the book is built, and its links to where it is published.

Sphinx writes an inline script twice when an extension adds it late, and the second `const` is an error in the
browser. Here each script is kept once.

With the address of a public repository in the environment, BSR_REPOSITORY=https://github.com/OWNER/NAME, each page has
buttons that open it there, each chapter buttons that run it on Binder or Colab, and the front page the command that
clones it.
"""

import os

# Colab has neither the package nor the tables beside the notebooks; the cell brings both.
LAUNCH = """Each chapter has a launch button. Binder opens it with everything installed. On Colab, put this first:

```
!git clone --quiet --depth 1 {} bsr-book
%pip install --quiet "./bsr-book[book]"
%cd bsr-book/book
```"""

CLONE = """```sh
git clone {} bsr-book && cd bsr-book
```"""


def keep_scripts_once(app, pagename, templatename, context, doctree):
    scripts = {script.attributes.get("body") or script.filename: script for script in context["script_files"]}
    context["script_files"] = list(scripts.values())


def link_repository(app, config):
    address = os.environ.get("BSR_REPOSITORY", "").rstrip("/")
    config.myst_substitutions["clone"] = CLONE.format(address) if address else "% not published"
    config.myst_substitutions["launch"] = LAUNCH.format(address) if address else "% not published"
    if address:
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": os.environ.get("BSR_BRANCH", "main"),
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        }


def setup(app):
    app.connect("config-inited", link_repository)
    app.connect("html-page-context", keep_scripts_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
