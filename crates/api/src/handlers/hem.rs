//! HEM systems: what belongs together at a site, and what flowed there.

use axum::{Json, extract::State};
use livewatt_domain::{
    hem::{HemStatistics, HemSystemDocument},
    id::UserId,
    production::{NotAPeriod, Period},
};

use crate::{
    error::{ApiError, ApiResult, ProblemJson},
    extract::{Caller, PathArg, QueryArgs, user_arg},
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// `GET /hem-systems`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    page: PageArgs,
) -> ApiResult<Json<Paginated<HemSystemDocument>>> {
    list_of(&state, caller, None, page).await
}

/// `GET /users/{userId}/hem-systems`; a user nobody knows has none.
pub(crate) async fn list_of_user(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
) -> ApiResult<Json<Paginated<HemSystemDocument>>> {
    let user = user_arg(user)?;
    list_of(&state, caller, Some(user), page).await
}

async fn list_of(
    state: &ApiState,
    caller: Caller,
    user: Option<UserId>,
    page: PageArgs,
) -> ApiResult<Json<Paginated<HemSystemDocument>>> {
    let page = page.by_id()?;
    let engine = state.engine();
    let systems = engine.list_hem_systems(caller.client_id, user, page);
    Ok(Json(Paginated::from(systems.await?)))
}

/// `GET /hem-systems/{hemSystemId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<HemSystemDocument>> {
    let engine = state.engine();
    Ok(Json(engine.get_hem_system(caller.client_id, &id).await?))
}

/// `GET /hem-systems/{hemSystemId}/statistics`
pub(crate) async fn statistics(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> Result<Json<HemStatistics>, ProblemJson> {
    let client = caller.client_id;
    // Of a system that is not there nothing can be asked, well or badly.
    let known = state.engine().get_hem_system(client, &id).await;
    known.map_err(ApiError::from)?;
    let period = interval(&args)?;
    let told = state
        .to_the_end(|engine| async move { engine.hem_statistics(client, &id, period).await })
        .await?;
    Ok(Json(told))
}

fn interval(args: &QueryArgs) -> ApiResult<Period> {
    let text = args.one("interval")?;
    let text = text.ok_or_else(|| ApiError::invalid("interval", "is missing"))?;
    text.parse()
        .map_err(|problem: NotAPeriod| ApiError::invalid("interval", problem.to_string()))
}
