"""The recipes that records name, each in a file of its own: `recipes/ID.json`, written and synced before any of them.

What was promised when an instance was acknowledged stays so, whatever the configuration says later: that is why a
record names a recipe of the spool and not one of the configuration.
"""

import re
import threading
from collections.abc import Container
from typing import Final

from dicomroute_gateway.configuration.recipe import AS_IT_CAME, Recipe, UnknownRecipe, parse_recipe

from .content import RECIPE_MISSING, Unreadable
from .files import Files
from .formats import RECIPES, Format

FOLDER: Final = "recipes"
_NAME: Final = re.compile(r"([0-9a-f]{16})\.json")


class Recipes:
    """The recipes of a spool. Safe to use from several threads."""

    def __init__(self, files: Files, form: Format) -> None:
        self._files = files
        self._format = form
        self._mutex = threading.Lock()
        self._kept: dict[str, Recipe] = {"": AS_IT_CAME}

    def keep(self, recipe: Recipe) -> None:
        """Return when a recipe is on stable storage, so that records may name it. Raises OSError."""
        if recipe.id in self._kept:
            return
        with self._mutex:
            # Whoever would ignore what records say of recipes is kept from opening the spool before the first does.
            self._format.raise_to(RECIPES)
            if FOLDER not in self._files.list("."):
                self._files.make_folder(FOLDER)
            self._files.put(_file_of(recipe.id), recipe.form)
            self._kept[recipe.id] = recipe

    def get(self, identifier: str) -> Recipe:
        """Return a recipe by its id. Raises Unreadable when it is not there, or of a newer gateway."""
        known = self._kept.get(identifier)
        if known is not None:
            return known
        name = _file_of(identifier)
        try:
            recipe = parse_recipe(self._files.read(name))
        except (OSError, UnknownRecipe) as error:
            raise Unreadable(
                RECIPE_MISSING,
                f"the recipe in {self._files.path(name)}, which prepares the instance, cannot be used: {error}. "
                "Restore the file from a backup, or run the gateway that wrote it",
            ) from error
        if recipe.id != identifier:
            raise Unreadable(RECIPE_MISSING, f"{self._files.path(name)} has changed since it was written. Restore it")
        self._kept[identifier] = recipe
        return recipe

    def forget(self, needed: Container[str]) -> None:
        """Remove the recipes that no record names, apart from those of this run. Raises OSError."""
        with self._mutex:
            for name in self._files.list(FOLDER) if FOLDER in self._files.list(".") else ():
                found = _NAME.fullmatch(name)
                if found is None or (found[1] not in needed and found[1] not in self._kept):
                    self._files.remove(f"{FOLDER}/{name}")


def _file_of(identifier: str) -> str:
    return f"{FOLDER}/{identifier}.json"
