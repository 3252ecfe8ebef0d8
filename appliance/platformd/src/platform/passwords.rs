//! The administrator's password: checked, replaced, and replaced when it is lost.

use admin_api::platform::answer::Answer;
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::secret::Secret;
use tokio::time::Instant;

use super::{Platform, failed};
use crate::password::{self, Throttle};
use crate::recovery::{self, Recovery};

impl Platform {
    pub(super) async fn check_password(&self, password: Secret) -> Result<Answer, Refusal> {
        let wait = self.state.lock().await.throttle.wait(Instant::now());
        tokio::time::sleep(wait).await;
        let is_right = match password::stored(&self.config) {
            None => false,
            Some(hash) => tokio::task::spawn_blocking(move || password::verify(&password, &hash))
                .await
                .unwrap_or(false),
        };
        self.state.lock().await.throttle.note(is_right, Instant::now());
        if is_right {
            return Ok(Answer::Done);
        }
        tracing::warn!("a wrong password");
        Err(Refusal::new(
            RefusalCode::NotPermitted,
            "the password is wrong",
            "password",
            "try again; \"pwrecovery\" at the console replaces a lost one",
        ))
    }

    pub(super) async fn set_password(
        &self,
        current: Secret,
        new: Secret,
    ) -> Result<Answer, Refusal> {
        password::check(&new)?;
        self.check_password(current).await?;
        self.replace_password(new).await
    }

    pub(super) async fn replace_password(&self, new: Secret) -> Result<Answer, Refusal> {
        let hash = hashed(new).await?;
        let _one_at_a_time = self.state.lock().await;
        password::write(&self.config, Some(&hash)).map_err(|f| failed(&f, "password"))?;
        tracing::info!("the administrator's password was replaced");
        Ok(Answer::Done)
    }

    pub(super) async fn start_recovery(&self) -> Result<Answer, Refusal> {
        let now = Instant::now();
        let mut recovery = Recovery::start(recovery::disks(), now);
        tracing::warn!("replacing a lost password was asked for");
        let answer = recovery.look(&recovery::disks(), now);
        self.state.lock().await.recovery = Some(recovery);
        answer.map(Answer::Recovery).ok_or_else(no_recovery)
    }

    pub(super) async fn show_recovery(&self) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().await;
        let look = |recovery: &mut Recovery| recovery.look(&recovery::disks(), Instant::now());
        state.recovery.as_mut().and_then(look).map(Answer::Recovery).ok_or_else(no_recovery)
    }

    pub(super) async fn finish_recovery(&self, new: Secret) -> Result<Answer, Refusal> {
        password::check(&new)?;
        let Answer::Recovery(recovery) = self.show_recovery().await? else {
            return Err(no_recovery());
        };
        if !recovery.is_proven {
            return Err(Refusal::new(
                RefusalCode::NotPermitted,
                "no disk has been attached since",
                "pwrecovery",
                "attach any disk or USB stick to this machine now",
            ));
        }
        let done = self.replace_password(new).await?;
        let mut state = self.state.lock().await;
        state.recovery = None;
        state.throttle = Throttle::default();
        Ok(done)
    }
}

fn no_recovery() -> Refusal {
    Refusal::new(
        RefusalCode::NotNow,
        "no lost password is being replaced, or the time for it is over",
        "pwrecovery",
        "begin again with \"pwrecovery\" at the console",
    )
}

pub(super) async fn hashed(password: Secret) -> Result<String, Refusal> {
    tokio::task::spawn_blocking(move || password::hash(&password))
        .await
        .unwrap_or_else(|error| Err(failed(&error, "password")))
}
