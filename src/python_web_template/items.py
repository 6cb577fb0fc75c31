"""The `items` resource: create, read, list, replace, delete."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import delete, select, update
from starlette.exceptions import HTTPException

from .database import Session
from .models import Item
from .pagination import MAX_ID, Limit, cursor_parameter, encode_cursor
from .problems import PROBLEM_RESPONSES

router = APIRouter(prefix="/items", tags=["items"], responses=PROBLEM_RESPONSES)


def _without_null(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold null characters")
    return text


class ItemContent(BaseModel):
    """What a client decides about an item."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
        AfterValidator(_without_null),
    ]
    description: Annotated[
        str, StringConstraints(max_length=2000), AfterValidator(_without_null)
    ] = ""
    price_cents: int = Field(ge=0, le=2**31 - 1, strict=True)


class StoredItem(ItemContent):
    """An item as it is kept."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created_at: datetime
    updated_at: datetime


class ItemPage(BaseModel):
    """Some items, oldest first."""

    items: list[StoredItem]
    next: str | None = Field(description="`cursor` of the next page; null on the last page")


ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]
NOT_FOUND = "There is no item with this id"


@router.post("", status_code=201, response_model=StoredItem)
async def create_item(
    content: ItemContent, request: Request, response: Response, session: Session
) -> Item:
    """Store a new item; `Location` says where it is."""
    now = datetime.now(UTC)
    item = Item(**content.model_dump(), created_at=now, updated_at=now)
    session.add(item)
    await session.commit()
    response.headers["Location"] = request.app.url_path_for("read_item", item_id=item.id)
    return item


@router.get("", response_model=ItemPage)
async def list_items(
    session: Session, after: Annotated[int, Depends(cursor_parameter)], limit: Limit = 20
) -> dict[str, object]:
    """Return one page of items in the order in which they were created."""
    query = select(Item).where(Item.id > after).order_by(Item.id).limit(limit + 1)
    items = (await session.scalars(query)).all()
    page = items[:limit]
    return {"items": page, "next": encode_cursor(page[-1].id) if len(items) > limit else None}


@router.get("/{item_id}", response_model=StoredItem)
async def read_item(item_id: ItemId, session: Session) -> Item:
    """Return one item."""
    item = await session.get(Item, item_id)
    if item is None:
        raise HTTPException(404, NOT_FOUND)
    return item


@router.put("/{item_id}", response_model=StoredItem)
async def replace_item(item_id: ItemId, content: ItemContent, session: Session) -> Item:
    """Replace the content of an item."""
    change = update(Item).where(Item.id == item_id).values(**content.model_dump()).returning(Item)
    item = await session.scalar(change)
    if item is None:
        raise HTTPException(404, NOT_FOUND)
    await session.commit()
    return item


@router.delete("/{item_id}", status_code=204)
async def delete_item(item_id: ItemId, session: Session) -> None:
    """Remove an item."""
    removal = delete(Item).where(Item.id == item_id).returning(Item.id)
    if await session.scalar(removal) is None:
        raise HTTPException(404, NOT_FOUND)
    await session.commit()
